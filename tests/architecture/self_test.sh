#!/usr/bin/env bash
# self_test.sh: each rule of this folder passes on a small clean tree and fails, with its message, on a planted violation.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
n_failed=0

clean_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/{include/lille,src/base,src/io,src/cli,tests/base,tests/io,tests/architecture}
  printf '#include <vector>\n#include "lille/error.h"\n' >"$tree/include/lille/api.h"
  printf '#include <unistd.h>\n' >"$tree/src/base/file.cpp"
  printf '#include "base/file.h"\n#include "io/a.h"\n#include "lille/api.h"\n// no printf("x") here\n' >"$tree/src/io/a.cpp"
  printf '#include "io/a.h"\nint main() { printf("text"); }\n' >"$tree/src/cli/main.cpp"
  touch "$tree/tests/base/file_test.cpp" "$tree/tests/io/a_test.cpp" "$tree/tests/architecture/exceptions.txt"
}

run_rule() {
  case $1 in
    includes) bash "$here/includes.sh" "$tree" base io cli ;;
    *) bash "$here/$1.sh" "$tree" base io ;;
  esac
}

# planted RULE FILE LINE MESSAGE: appends LINE to FILE of a clean tree and expects RULE to fail with MESSAGE.
planted() {
  local output
  clean_tree
  mkdir -p "$(dirname "$tree/$2")"
  printf '%b\n' "$3" >>"$tree/$2"
  if output=$(run_rule "$1" 2>&1); then
    printf '%s.sh did not notice in %s: %s\n' "$1" "$2" "$3"
    n_failed=$((n_failed + 1))
  elif [[ $output != *"$4"* ]]; then
    printf '%s.sh on %s: expected "%s", got: %s\n' "$1" "$2" "$4" "$output"
    n_failed=$((n_failed + 1))
  fi
}

clean_tree
for rule in includes words layout links; do
  run_rule "$rule" || { printf '%s.sh fails on a clean tree\n' "$rule"; n_failed=$((n_failed + 1)); }
done

planted includes src/base/file.cpp '#include "io/a.h"' 'does not stand at or below layer base'
planted includes src/io/a.cpp '#include "a.h"' 'does not stand at or below layer io'
planted includes src/new/b.cpp '' 'is not in the list of layers'
planted includes include/lille/api.h '#include "base/file.h"' 'a public header includes'
planted includes include/lille/api.h '#include <fmt/format.h>' "not the standard library's"
planted includes src/io/a.cpp '#include <sys/mman.h>' 'system calls stand in src/base'
planted words docs/A.md 'T''ODO: more' 'unfinished'
planted words docs/A.md 'see /ho''me/me/x' 'a path of one machine'
planted words cmake/a.cmake 'add(-ff''ast-math)' 'compiler'
planted words src/io/a.cpp '  assert(x);' 'LILLE_CHECK'
planted words src/io/a.cpp '  std::cerr << x;' 'never prints'
planted words src/io/a.cpp '  std::fprintf(stderr, "x");' 'never prints'
planted words src/io/a.cpp '  std::exit(1);' 'never ends'
planted words src/io/a.cpp '  std::getenv("X");' 'environment'
planted words include/lille/api.h 'using namespace std;' 'written out'
planted words tests/architecture/exceptions.txt 'prints src/io/a.cpp no longer true' 'excuses nothing'
planted layout src/io/b.cpp '' 'has no tests/io/b_test.cpp'
planted layout src/io/a.h "$(printf '\\n%.0s' {1..600})" 'lines, at most'
planted layout src/io/a.h '// \303\251' 'not ASCII'
planted layout tests/architecture/exceptions.txt 'untested src/io/b.cpp gone' 'excuses nothing'

planted links docs/A.md 'see [b](B.md)' 'links to B.md'
planted links src/io/a.cpp '// see do''cs/NONE.md' 'speaks of docs/NONE.md'

((n_failed == 0)) || exit 1
