#!/usr/bin/env bash
# reference.sh DOXYGEN DOXYFILE FOLDER: makes the reference in FOLDER, and looks for classes of each kind in it; a header
# with an undocumented member is refused.
set -euo pipefail
doxygen=$1 doxyfile=$2 folder=$3
cd "$folder"
rm -rf html bad
{ cat "$doxyfile"; printf 'OUTPUT_DIRECTORY = .\n'; } | "$doxygen" -
for text in "Session::forward" "SamplerOptions" "batch_generate" "lille_model_load"; do
  grep -rqF "$text" html --include='*.html' || { printf 'the reference lacks %s\n' "$text"; exit 1; }
done

mkdir bad
printf '/// A class.\nclass Bad {\n public:\n  int undocumented();\n};\n' >bad/bad.h
if { cat "$doxyfile"; printf 'OUTPUT_DIRECTORY = bad\nINPUT = bad\n'; } | "$doxygen" - 2>bad/messages; then
  printf 'an undocumented member is not noticed\n'
  exit 1
fi
grep -qF "undocumented()" bad/messages
