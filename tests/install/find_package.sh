#!/usr/bin/env bash
# find_package.sh TREE CMAKE PROJECT COMPILER PROGRAM MODEL: builds the project, whose program is the source file
# PROGRAM, with what find_package finds in TREE, and runs it.
set -euo pipefail
tree=$1 cmake=$2 project=$3 compiler=$4 program=$5 model=$6
build=$tree-consumer
rm -rf "$build"
"$cmake" -S "$project" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic -Werror" -DCMAKE_PREFIX_PATH="$tree" -DPROGRAM="$program"
grep -F "lille_DIR:PATH=$tree/" "$build/CMakeCache.txt" || { printf 'another lille was found\n'; exit 1; }
"$cmake" --build "$build"
text=$(cd / && "$build/consumer" "$model")
printf '%s\n' "$text"
((${#text} > 40))
