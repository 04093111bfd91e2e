#!/usr/bin/env bash
# packages.sh BUILD_FOLDER CPACK FOLDER VERSION CC SOURCE: makes the Debian packages in FOLDER, unpacks them side by side,
# runs the program inside and builds the C program SOURCE with what is there.
set -euo pipefail
build=$1 cpack=$2 folder=$3 version=$4 cc=$5 source=$6
runtime=liblille${version%.*}
n_failed=0
fail() { printf '%s\n' "$1"; n_failed=$((n_failed + 1)); }

rm -rf "$folder"
mkdir -p "$folder/root"
# gzip compresses in a tenth of the time.
"$cpack" -G DEB --config "$build/CPackConfig.cmake" -B "$folder" -D CPACK_DEBIAN_COMPRESSION_TYPE=gzip >"$folder/log" 2>&1 || {
  cat "$folder/log"
  exit 1
}
architecture=$(dpkg --print-architecture)
# field PACKAGE NAME: a field of its control file.
field() { dpkg-deb --field "$folder/$1_${version}_$architecture.deb" "$2"; }
for package in lille "$runtime" liblille-dev; do
  dpkg-deb -x "$folder/${package}_${version}_$architecture.deb" "$folder/root"
  [[ $(field "$package" Description) == *" "*$'\n'* ]] || fail "$package has no description"
  [[ -s $folder/root/usr/share/doc/$package/copyright ]] || fail "$package has no copyright file"
  gzip -t "$folder/root/usr/share/doc/$package/changelog.gz" || fail "$package has no changelog"
done
for library in libc6 libstdc++6 libfmt9 libcurl4 libedit2 libcpp-httplib; do
  [[ $(field lille Depends) == *"$library"* ]] || fail "lille does not depend on $library"
done
[[ $(field "$runtime" Depends) != *libedit* ]] || fail "$runtime depends on the program's libraries"
[[ $(field liblille-dev Depends) == *"$runtime (= $version)"*libfmt-dev* ]] || fail "liblille-dev lacks what it needs"

python=$folder/python3-lille_${version}_$architecture.deb
if [[ -f $python ]]; then
  dpkg-deb -x "$python" "$folder/root"
  [[ $(field python3-lille Depends) == *"python3 (<<"*python3-numpy* ]] || fail "python3-lille lacks what it needs"
  PYTHONPATH=$folder/root/usr/lib/python3/dist-packages /usr/bin/python3 -c 'import lille; print(lille.load)' ||
    fail "the Python package cannot be imported"
fi

cd "$folder/root/usr"
[[ $(bin/lille --version) == "lille $version" ]] || fail "the program has another version"
wanted=$(bin/lille generate "Once upon a time" --seed 3 --max-tokens 16)
((${#wanted} > 20)) || fail "the answer is \"$wanted\""
for page in share/man/man1/lille.1.gz share/man/man1/lille-serve.1.gz; do
  gzip -t "$page" || fail "$page is no compressed page"
done
for file in share/bash-completion/completions/lille share/zsh/vendor-completions/_lille share/lille/tasks/facts.jsonl; do
  [[ -s $file ]] || fail "there is no $file"
done

libdir=$(dirname "$(find . -name liblille.so)")
[[ $(readelf -d "$libdir/liblille.so") == *"[$runtime"* || $(readlink "$libdir/liblille.so") == "liblille.so.${version%.*}" ]] ||
  fail "liblille.so is not $runtime"
"$cc" -std=c11 "$source" -o "$folder/generate" -Iinclude -L"$libdir" -llille -Wl,-rpath,"$PWD/$libdir"
text=$("$folder/generate" share/lille/models/lille-tiny-8bit "Once upon a time" seed=3 max_tokens=16)
[[ $text == "$wanted" ]] || fail "the C program answers \"$text\" and not \"$wanted\""
((n_failed == 0)) || exit 1
