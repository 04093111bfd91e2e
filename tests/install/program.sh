#!/usr/bin/env bash
# program.sh TREE BINDIR VERSION: the installed program runs from any folder and finds its model.
set -euo pipefail
program=$1/$2/lille
cd /
[[ $("$program" --version) == "lille $3" ]]
"$program" info | head -n 1 | grep -F "$1/share/lille/models/lille-tiny-8bit"
text=$("$program" generate "Once upon a time" --max-tokens 20)
printf '%s\n' "$text"
((${#text} > 20))
