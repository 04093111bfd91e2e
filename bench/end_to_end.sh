#!/usr/bin/env bash
# How fast the program is as a user has it: start to the first token, prompt and answer, for one model:
#
#   bench/end_to_end.sh PROGRAM [MODEL_FOLDER]
#
# Each figure is the median of RUNS runs (default 7) after one to warm up, with the least and the most of them. The rotary
# layout is named, so that no run measures it.
set -euo pipefail
program=$1
model=()
[[ $# -lt 2 ]] || model=(--model "$2")
runs=${RUNS:-7}

"$(dirname "${BASH_SOURCE[0]}")/../scripts/machine"

# The field of the JSON answer; arguments as for `lille generate`.
field() {
  local key=$1
  shift
  "$program" generate "$@" ${model[@]+"${model[@]}"} --rope interleaved --seed 1 --json |
    sed -n "s/^ *\"$key\": \([-+.0-9e]*\),\{0,1\}$/\1/p"
}

# Seconds of a whole process that makes one token.
first_token() {
  local begin
  begin=$(date +%s%N)
  field generation_tps "Once upon a time" --max-tokens 1 >/dev/null
  awk -v ns=$(($(date +%s%N) - begin)) 'BEGIN { printf "%.4f\n", ns / 1e9 }'
}

# Runs a command RUNS times and once before; prints "median (least to most)".
median() {
  "$@" >/dev/null
  for ((run = 0; run < runs; ++run)); do "$@"; done | sort -g |
    awk '{ v[NR] = $1 } END { printf "%.4g (%.4g to %.4g)\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

prompt=$(for ((line = 0; line < 34; ++line)); do printf 'the river flows south and the people of the town walk along it every day '; done)
printf 'start to first token, s    %s\n' "$(median first_token)"
for threads in 1 "$(nproc)"; do
  printf 'prompt, tokens/s           %s, %s threads, %s tokens\n' \
    "$(median field prompt_tps "$prompt" --max-tokens 1 --threads "$threads")" "$threads" \
    "$(field prompt_tokens "$prompt" --max-tokens 1 --threads "$threads")"
  printf 'answer, tokens/s           %s, %s threads, 100 tokens\n' \
    "$(median field generation_tps "Once upon a time" --max-tokens 100 --threads "$threads")" "$threads"
done
