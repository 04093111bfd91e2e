#!/usr/bin/env bash
# c_program.sh TREE PKG_CONFIG LIBDIR CC SOURCE BINDIR: builds the C program SOURCE with liblille.so and with liblille.a, as
# docs/C_API.md says; its answer is that of the installed program, and its errors are the library's.
set -euo pipefail
tree=$1 pkg_config=$2 libdir=$3 cc=$4 source=$5 program=$1/$6/lille
export PKG_CONFIG_PATH=$tree/$libdir/pkgconfig
n_failed=0
fail() { printf '%s\n' "$1"; n_failed=$((n_failed + 1)); }

read -ra flags < <("$pkg_config" --cflags --libs lille)
read -ra includes < <("$pkg_config" --cflags lille)
read -ra others < <("$pkg_config" --libs fmt libutf8proc zlib libcurl libcrypto)
warnings=(-std=c11 -Wall -Wextra -pedantic -Werror)
"$cc" "${warnings[@]}" "$source" -o "$tree-c-shared" "${flags[@]}" -Wl,-rpath,"$tree/$libdir"
"$cc" "${warnings[@]}" "$source" -o "$tree-c-static" "${includes[@]}" -L"$tree/$libdir" -l:liblille.a "${others[@]}" \
  -lstdc++ -lm -pthread

cd /
model=$tree/share/lille/models/lille-tiny-8bit
wanted=$("$program" generate "Once upon a time" --temp 0.7 --seed 3 --max-tokens 24)
((${#wanted} > 40))
for kind in shared static; do
  text=$("$tree-c-$kind" "$model" "Once upon a time" temp=0.7 seed=3 max_tokens=24)
  [[ $text == "$wanted" ]] || fail "with the $kind library the answer is \"$text\" and not \"$wanted\""
done

# refused TEXT ARGUMENT...: the program fails and says TEXT.
refused() {
  local text=$1 output status=0
  shift
  output=$("$tree-c-shared" "$@" 2>&1) || status=$?
  [[ $status == 1 && $output == *"$text"* ]] || fail "expected an error with \"$text\", got $status and \"$output\""
}
refused "temperature: expected a number from 0 to 1000000, got \"-1\"" "$model" x temperature=-1
refused "not_found" "$tree/nothing" x
refused "lille_option_name lists them" "$model" x no_such_option=1
((n_failed == 0)) || exit 1
