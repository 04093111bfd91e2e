#!/usr/bin/env bash
# clients.sh PROGRAM: clients that people use talk with `lille serve`: npm's openai and the AI SDK, and what docs/CLIENTS.md
# shows. Installs what package.json names into $LILLE_CLIENTS_FOLDER (default: a folder in the user's cache); says so and ends
# well if it cannot.
set -euo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${LILLE_CLIENTS_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/lille/clients}
for needed in node npm python3 curl; do
  command -v "$needed" >/dev/null || { echo "skipped: there is no $needed"; exit 0; }
done
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
  { echo "skipped: the clients need node 20 or newer"; exit 0; }

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if ! cmp -s "$here/package.json" "$cache/installed.json"; then
  cp "$here/package.json" "$cache/package.json"
  (cd "$cache" && npm install --ignore-scripts --no-package-lock --no-audit --no-fund >/dev/null 2>&1) ||
    { echo "skipped: npm cannot install the clients here"; exit 0; }
  cp "$here/package.json" "$cache/installed.json"
fi

work=$(mktemp -d -p "$cache")
trap 'rm -rf "$work"' EXIT
cp "$here"/*.ts "$here/tsconfig.json" "$here/package.json" "$work"
node "$cache/node_modules/typescript/bin/tsc" --project "$work"
printf 'a-key-of-the-test-server\n' >"$work/keys"
export no_proxy=127.0.0.1
cd "$work"
node openai.js "$program" keys
node ai_sdk.js "$program"
node replies.js "$program"

# The examples, each in a file of its own, against the server that docs/CLIENTS.md starts.
awk 'BEGIN { kinds["js"] = "mjs"; kinds["sh"] = "sh"; kinds["python"] = "py" }
  /^```/ { language = substr($0, 4); file = language in kinds ? sprintf("example_%02d.%s", ++n, kinds[language]) : ""; next }
  file != "" { print > file }' "$here/../../docs/CLIENTS.md"
mkfifo address
"$program" serve --model-id lille --port 0 >address 2>log &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
read -r url <address || { printf 'the server did not start: %s\n' "$(cat log)"; exit 1; }
declare -A runners=([mjs]=node [sh]=bash [py]=python3)
n_examples=0
for example in example_*; do
  sed -i "s|http://127.0.0.1:8080|$url|g" "$example"
  said=$("${runners[${example##*.}]}" "$example") || { printf '%s failed:\n%s\n' "$example" "$(cat "$example")"; exit 1; }
  ((${#said} > 20)) || { printf '%s printed next to nothing: %s\n' "$example" "$said"; exit 1; }
  [[ $said != *'"error"'* ]] || { printf '%s was refused: %s\n' "$example" "$said"; exit 1; }
  n_examples=$((n_examples + 1))
done
((n_examples >= 9)) || { printf 'docs/CLIENTS.md has only %d examples\n' "$n_examples"; exit 1; }
printf '%d examples of docs/CLIENTS.md\n' "$n_examples"
