#!/usr/bin/env bash
# What drafting gives on real text: each answer is made without and with a draft, one after the other.
#
#   bench/draft.sh PROGRAM TEXT_FILE [OPTIONS OF lille generate] -- --draft lookup|MODEL [MORE OF THEM]
#
# TEXT_FILE has documents with lines that hold only U+001E between them. The first WORDS words (default 100) of
# COUNT documents (default 12), evenly spread, are the prompts of answers of TOKENS tokens (default 128). Prints
# one line: which part of the drafted tokens was accepted, tokens in a pass of the model, tokens/s without and
# with the draft, prompts not counted, and their ratio. Fails if an answer is not the same.
set -euo pipefail
program=$1
text=$2
shift 2
options=()
while [[ $1 != -- ]]; do
  options+=("$1")
  shift
done
shift
export WORDS=${WORDS:-100} COUNT=${COUNT:-12}
tokens=${TOKENS:-128}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

awk -v folder="$folder" -v RS='\n\036\n' '
  { documents[NR] = $0 }
  END {
    for (idx = 0; idx < ENVIRON["COUNT"]; ++idx) {
      n = split(documents[int(1 + idx * NR / ENVIRON["COUNT"])], words, /[ \n]+/)
      prompt = words[1]
      for (word = 2; word <= n && word <= ENVIRON["WORDS"]; ++word) prompt = prompt " " words[word]
      file = folder "/" idx ".prompt"
      printf "%s", prompt > file
      close(file)
    }
  }' "$text"

# A number of an answer's JSON.
field() { sed -n "s/^ *\"$1\": \([-+.0-9e]*\),\{0,1\}$/\1/p" "$2"; }

for prompt in "$folder"/*.prompt; do
  answer() { "$program" generate - --max-tokens "$tokens" --seed 1 --json ${options[@]+"${options[@]}"} "$@" <"$prompt"; }
  answer >"$prompt.plain"
  answer "$@" >"$prompt.draft"
  diff <(sed -n '/"text"/p;/"tokens": \[/,/\]/p' "$prompt.plain") \
    <(sed -n '/"text"/p;/"tokens": \[/,/\]/p' "$prompt.draft") >/dev/null || {
    echo "the answers differ: $(cat "$prompt")" >&2
    exit 1
  }
  echo "$(field generation_tokens "$prompt.plain") $(field generation_tps "$prompt.plain")" \
    "$(field generation_tps "$prompt.draft") $(field drafted_tokens "$prompt.draft")" \
    "$(field accepted_tokens "$prompt.draft") $(field passes "$prompt.draft")"
done | awk '
  $2 > 0 && $3 > 0 { n += $1; plain_s += ($1 - 1) / $2; draft_s += ($1 - 1) / $3; drafted += $4; accepted += $5; passes += $6; made += $1 - 1 }
  END {
    printf "%d tokens, %d drafted, %.1f %% accepted, %.2f tokens a pass, %.1f and %.1f tokens/s, %.2f times\n",
      n, drafted, drafted ? 100 * accepted / drafted : 0, n / passes, made / plain_s, made / draft_s, plain_s / draft_s
  }'
