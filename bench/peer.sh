#!/usr/bin/env bash
# llama.cpp and lille.cpp on the same machine in the same minutes, at Lille-130M's shape:
#
#   bench/peer.sh [BUILD_FOLDER]
#
# BUILD_FOLDER (default build/test) holds bin/lille, bench/formula_checkpoint and bench/llama_peer_bench. The peer is the CPU
# library inside npm's node-llama-cpp, which is installed into $LILLE_PEER_FOLDER (default: a folder in the user's cache).
# RUNS (default 5) timed runs of each work; THREADS (default "1 N", N all processors); RESULTS (default: none) a folder in
# which the figures of every pair are kept for bench/plots.py. Needs npm and python3.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$root/build/test}
runs=${RUNS:-5}
peer=${LILLE_PEER_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/lille/peer}
library=$peer/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
if [[ ! -d $library ]]; then
  mkdir -p "$peer"
  npm install --prefix "$peer" --ignore-scripts --no-audit --no-fund node-llama-cpp@3.22.1 >/dev/null
fi

work=$(mktemp -d)
results=${RESULTS:-$work/results}
mkdir -p "$results"
trap 'rm -rf "$work"' EXIT
lille=$build/bin/lille
model() { "$lille" convert "$work/bf16" "$work/$1" --rope interleaved "${@:2}" >/dev/null; }
"$build/bench/formula_checkpoint" "$root/models/lille-tiny-8bit" "$work/bf16" >/dev/null
model bf16.gguf --dtype BF16
model q8_0.gguf --quantize Q8_0
model q4_0.gguf --quantize Q4_0 --pure
model 8bit --format mlx --quantize 8
model 8bit-packed --quantize 8 --pack
model 4bit-packed --quantize 4 --pack

"$root/scripts/machine"
for threads in ${THREADS:-1 $(nproc)}; do
  for pair in 8bit-packed:q8_0 q8_0.gguf:q8_0 8bit:q8_0 4bit-packed:q4_0 q4_0.gguf:q4_0 bf16:bf16; do
    ours=${pair%%:*}
    theirs=${pair##*:}.gguf
    printf '\n%s (%s bytes) beside llama.cpp on %s (%s bytes)\n' "$ours" "$(du -bL --max-depth=0 "$work/$ours" | cut -f1)" \
      "$theirs" "$(stat -c %s "$work/$theirs")"
    kept=$results/$ours@$threads
    "$build/bench/llama_peer_bench" "$library" "$work/$theirs" "$threads" "$runs" >"$kept.peer.json"
    "$lille" bench --model "$work/$ours" --rope interleaved --threads "$threads" --runs "$runs" --json >"$kept.ours.json"
    "$root/bench/plots.py" table "$kept.ours.json" "$kept.peer.json"
  done
done
