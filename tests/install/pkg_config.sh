#!/usr/bin/env bash
# pkg_config.sh TREE PKG_CONFIG LIBDIR COMPILER PROGRAM MODEL: builds the source file PROGRAM with the flags that lille.pc
# gives, and runs it.
set -euo pipefail
tree=$1 pkg_config=$2 libdir=$3 compiler=$4 program=$5 model=$6
export PKG_CONFIG_PATH=$tree/$libdir/pkgconfig
"$pkg_config" --exact-version "$("$pkg_config" --modversion lille)" lille
read -ra flags < <("$pkg_config" --cflags --libs lille)
printf 'flags: %s\n' "${flags[*]}"
"$compiler" -std=c++20 "$program" -o "$tree-pkg-config" "${flags[@]}" -Wl,-rpath,"$tree/$libdir"
text=$(cd / && "$tree-pkg-config" "$model")
printf '%s\n' "$text"
((${#text} > 40))
