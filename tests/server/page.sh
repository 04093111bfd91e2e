#!/usr/bin/env bash
# page.sh PROGRAM [SCREENSHOT_FOLDER]: Debian's chromium uses the page of `lille serve` as a person does (page.mjs). Installs
# npm's playwright-core into $LILLE_PAGE_FOLDER (default: a folder in the user's cache); says so and ends well if it cannot.
set -euo pipefail
program=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${LILLE_PAGE_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/lille/page}
for needed in node npm chromium; do
  command -v "$needed" >/dev/null || { echo "skipped: there is no $needed"; exit 0; }
done
mkdir -p "$cache"
if [[ ! -d $cache/node_modules/playwright-core ]]; then
  npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund playwright-core@1.65.1 >/dev/null 2>&1 ||
    { echo "skipped: npm cannot install playwright-core here"; exit 0; }
fi
no_proxy=127.0.0.1 node "$here/page.mjs" "$program" "$cache/node_modules/playwright-core/index.js" "$(command -v chromium)" "${2:-}"
