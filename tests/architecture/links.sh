#!/usr/bin/env bash
# links.sh ROOT: what a document links to, and each document that any file names, exists.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while read -r file; do
  while read -r target; do
    [[ -e $(dirname "$file")/$target ]] || violation links "$file" "links to $target, which does not exist"
  done < <(grep -oE '\]\([^)#]+' "$file" | sed 's/^](//' | grep -vE '^[a-z]+:' || true)
done < <(project_files | grep '\.md$')

while IFS=: read -r file name; do
  [[ -e $name ]] || violation links "$file" "speaks of $name, which does not exist"
done < <(project_files | grep -v '^tests/architecture/' | xargs -r -d '\n' grep -oIHE '\b(docs/[A-Z_]+|ARCHITECTURE|CONTRIBUTING)\.md' | sort -u)

finish links
