#!/usr/bin/env bash
# tree.sh TREE BUILD_FOLDER CMAKE: installs into a folder and moves it to TREE.
set -euo pipefail
tree=$1
"$3" -E rm -rf "$tree" "$tree-before"
"$3" --install "$2" --prefix "$tree-before"
mv "$tree-before" "$tree"
if grep -rIlF "$tree-before" "$tree"; then
  printf 'these files name the folder the tree was installed to\n'
  exit 1
fi
