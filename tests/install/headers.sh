#!/usr/bin/env bash
# headers.sh TREE COMPILER INCLUDEDIR C_COMPILER: every installed header compiles alone, with all warnings as errors and
# nothing but the installed headers to include; lille/lille.h includes all of them, but lille.h, which is for C.
set -euo pipefail
cd "$1/$3"
compiler=$2 c_compiler=$4
n_failed=0
fail() { printf '%s\n' "$1"; n_failed=$((n_failed + 1)); }

compile() {
  "$compiler" -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -I. -x c++ - <<<"#include \"$1\""
}

mapfile -t headers < <(find . -name '*.h' | sed 's|^\./||' | sort)
((${#headers[@]} >= 12)) || fail "there are only ${#headers[@]} headers"
for header in "${headers[@]}"; do
  compile "$header" || fail "$header does not compile alone"
  [[ $header == lille/lille.h || $header == lille.h ]] || grep -qxF "#include \"$header\"" lille/lille.h || fail "lille/lille.h lacks $header"
done
"$c_compiler" -std=c11 -Wall -Wextra -pedantic -Wstrict-prototypes -Werror -fsyntax-only -I. -x c - <<<'#include <lille.h>' ||
  fail "lille.h is no C"
! compile lille/no_such.h 2>/dev/null || fail "a header that does not exist compiles"
((n_failed == 0)) || exit 1
