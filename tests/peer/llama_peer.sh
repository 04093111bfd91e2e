#!/usr/bin/env bash
# llama_peer.sh LILLE [MODEL_FOLDER...]: whether llama.cpp computes what we do from the files that we write. Installs npm's
# node-llama-cpp into $LILLE_PEER_FOLDER (default: a folder in the user's cache); says so and ends well if it cannot.
# A MODEL_FOLDER may be followed by :LAYOUT, which declares its rotary layout.
set -euo pipefail
lille=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ $# -gt 0 ]] || set -- "$here/../../models/lille-tiny-8bit"
peer=${LILLE_PEER_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/lille/peer}
mkdir -p "$peer"
if [[ ! -d $peer/node_modules/node-llama-cpp ]]; then
  if ! command -v npm >/dev/null || ! npm install --prefix "$peer" --ignore-scripts --no-audit --no-fund node-llama-cpp@3.22.1 >/dev/null 2>&1; then
    echo "skipped: npm cannot install node-llama-cpp here"
    exit 0
  fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ids=$("$lille" tokenize --model "${1%%:*}" "$(head -c 4000 "$here/../../README.md")" | cut -d, -f1-512)
for model in "$@"; do
  folder=${model%%:*}
  rope=()
  [[ $model == "$folder" ]] || rope=(--rope "${model##*:}")
  for type in F32 Q8_0; do
    "$lille" convert "$folder" "$work/model.gguf" --quantize "$type" --overwrite "${rope[@]}" 2>"$work/warnings" || { cat "$work/warnings"; exit 1; }
    "$lille" logits --exact --model "$work/model.gguf" --ids "$ids" --output "$work/logits.safetensors"
    echo "== $model $type"
    node "$here/llama_peer.mjs" "$work/model.gguf" "$work/logits.safetensors" "$peer/node_modules" ${LILLE_PEER_VECTORS:+"$LILLE_PEER_VECTORS"}
  done
done
