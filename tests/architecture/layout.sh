#!/usr/bin/env bash
# layout.sh ROOT LAYER...: every source file of the given layers has its test, no file is too long, code is ASCII.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
layers=("$@")
max_lines=600

# src/kernels/avx2/dot.cpp may be tested by tests/kernels/avx2/dot_test.cpp or, with its twins, by tests/kernels/dot_test.cpp.
for layer in "${layers[@]}"; do
  while read -r file; do
    [[ $file == *.cpp ]] || continue
    name=$(basename "$file" .cpp)
    [[ -f tests/${file#src/} || -f tests/$(dirname "${file#src/}")/${name}_test.cpp || -f tests/$layer/${name}_test.cpp ]] ||
      violation untested "$file" "has no tests/$layer/${name}_test.cpp"
  done < <(cpp_files "src/$layer")
done

while read -r file; do
  n_lines=$(wc -l <"$file")
  ((n_lines <= max_lines)) || violation too_long "$file" "has $n_lines lines, at most $max_lines are allowed"
done < <(cpp_files src include python tests bench fuzz)

while IFS=: read -r file line_number _; do
  violation ascii "$file" "line $line_number is not ASCII"
done < <(cpp_files src include | LC_ALL=C xargs -r -d '\n' grep -nHP '[^\x00-\x7F]')

finish untested too_long ascii
