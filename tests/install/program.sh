#!/usr/bin/env bash
# program.sh TREE BINDIR VERSION: the installed program runs from any folder and finds its model.
set -euo pipefail
program=$1/$2/lille
cd /
[[ $("$program" --version) == "lille $3" ]]
# Not through a pipe to head: who leaves a pipe early ends whoever still writes to it.
info=$("$program" info)
grep -F "$1/share/lille/models/lille-tiny-8bit" <<<"${info%%$'\n'*}"
text=$("$program" generate "Once upon a time" --max-tokens 20)
printf '%s\n' "$text"
((${#text} > 20))
