#!/usr/bin/env bash
# llama.cpp and lille.cpp on the same machine in the same minutes, at Lille-130M's shape:
#
#   bench/peer.sh [BUILD_FOLDER]
#
# BUILD_FOLDER (default build/test) holds bin/lille, bench/formula_checkpoint and bench/llama_peer_bench. The peer is the CPU
# library inside npm's node-llama-cpp, which is installed into $LILLE_PEER_FOLDER (default: a folder in the user's cache).
# RUNS (default 5) timed runs of each work; THREADS (default "1 N", N all processors); PAIRS (default all) models, ours and
# theirs, as in PAIRS=8bit-packed:q8_0; SETS (default: what each side chooses) sets of kernels that both sides are held to,
# of those that `lille info --system` lists; RESULTS (default: none) a folder in which the figures of every pair are kept for
# bench/plots.py. Needs npm and python3.
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

# The peer's library has a file for each kind of processor, and takes the best that there is.
declare -A peer_cpu=([reference]=x64 [avx2]=haswell [avxvnni]=alderlake [avx512]=skylakex [avx512vnni]=icelake
  [avx512bf16]=zen4 [amx]=sapphirerapids)
for set in ${SETS:-}; do
  [[ -n ${peer_cpu[$set]:-} ]] || { printf 'bench/peer.sh: SETS: expected some of %s, got %s\n' "${!peer_cpu[*]}" "$set" >&2; exit 2; }
  LILLE_FORCE_ISA=$set "$lille" info --system >/dev/null
  [[ -e $library/libggml-cpu-${peer_cpu[$set]}.so ]] ||
    { printf 'bench/peer.sh: SETS: no libggml-cpu-%s.so in %s\n' "${peer_cpu[$set]}" "$library" >&2; exit 2; }
done
hold_to() {
  export LILLE_FORCE_ISA=$1
  rm -rf "$work/peer"
  mkdir "$work/peer"
  find "$library" -name '*.so' ! -name 'libggml-cpu-*' -exec ln -s {} "$work/peer" \;
  ln -s "$library/libggml-cpu-${peer_cpu[$1]}.so" "$work/peer"
}

pairs=${PAIRS:-8bit-packed:q8_0 q8_0.gguf:q8_0 8bit:q8_0 4bit-packed:q4_0 q4_0.gguf:q4_0 bf16:bf16}
compare() {
  local threads=$1 peer_library=$2 suffix=$3 pair ours theirs kept
  for pair in $pairs; do
    ours=${pair%%:*}
    theirs=${pair##*:}.gguf
    printf '\n%s (%s bytes) beside llama.cpp on %s (%s bytes)\n' "$ours" "$(du -bL --max-depth=0 "$work/$ours" | cut -f1)" \
      "$theirs" "$(stat -c %s "$work/$theirs")"
    kept=$results/$ours@$threads$suffix
    "$build/bench/llama_peer_bench" "$peer_library" "$work/$theirs" "$threads" "$runs" >"$kept.peer.json"
    "$lille" bench --model "$work/$ours" --rope interleaved --threads "$threads" --runs "$runs" --json >"$kept.ours.json"
    "$root/bench/plots.py" table "$kept.ours.json" "$kept.peer.json"
  done
}

"$root/scripts/machine"
for threads in ${THREADS:-1 $(nproc)}; do
  if [[ -z ${SETS:-} ]]; then
    compare "$threads" "$library" ''
  else
    for set in $SETS; do
      hold_to "$set"
      printf '\nBoth held to %s\n' "$set"
      compare "$threads" "$work/peer" "@$set"
    done
  fi
done
