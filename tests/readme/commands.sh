#!/usr/bin/env bash
# commands.sh ROOT PROGRAM: runs the example of each row of README's table of commands in an empty folder, and fails if
# one fails or prints nothing, or is not the example that the command's help ends with.
set -euo pipefail
root=$1
program=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$root/README.md" "$folder"
ln -s "$root/models" "$folder/models"
ln -s "$root/tasks" "$folder/tasks"
# A small model with float weights stands for the real one.
ln -s "$root/tests/golden/mlx/toy" "$folder/lille-130m-base"
cd "$folder"
lille() { "$program" "$@"; }

# The models that the table names come from a cache, never from the network.
export HF_HOME=$folder/huggingface HF_HUB_OFFLINE=1
cached=$HF_HOME/hub/models--Nikity--lille-130m-instruct
commit=0123456789abcdef0123456789abcdef01234567
mkdir -p "$cached"/{refs,snapshots}
cp -r "$root/models/lille-tiny-8bit" "$cached/snapshots/$commit"
printf '%s' "$commit" >"$cached/refs/main"

# shellcheck disable=SC2016  # backquotes of Markdown
mapfile -t rows < <(sed -nE 's/^\| `([a-z]+)` \|.*\| `(lille [^`]*)` \|$/\1\t\2/p' README.md)
((${#rows[@]} >= 6)) || { printf 'README.md has only %d rows with an example\n' "${#rows[@]}"; exit 1; }

n_failed=0
for row in "${rows[@]}"; do
  command=${row%%$'\t'*}
  example=${row#*$'\t'}
  [[ $example == "lille $command"* ]] || { printf '%s: its example is "%s"\n' "$command" "$example"; n_failed=$((n_failed + 1)); }
  [[ $(lille "$command" --help | tail -n 1) == "Example: $example" ]] || {
    printf '%s: its help ends with another example\n' "$command"
    n_failed=$((n_failed + 1))
  }
  status=0
  if [[ $command == serve ]]; then
    # It runs until a signal ends it, once it has said where it is.
    : >stdout
    # shellcheck disable=SC2317  # the example calls it
    (lille() { exec "$program" "$@"; }; eval "$example") >stdout 2>stderr </dev/null &
    until [[ -s stdout ]] || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
    kill -TERM $! 2>/dev/null || true
    wait $! || status=$?
  else
    eval "$example" >stdout 2>stderr </dev/null || status=$?
  fi
  # With 1 it says that the models differ; when it fails, it prints nothing.
  [[ $command != diff || $status != 1 ]] || status=0
  if ((status != 0)); then
    printf '%s failed: %s\n' "$example" "$(tail -n 3 stderr)"
    n_failed=$((n_failed + 1))
  elif [[ ! -s stdout && ! -s logits.safetensors ]]; then
    printf '%s printed nothing\n' "$example"
    n_failed=$((n_failed + 1))
  fi
done
((n_failed == 0)) || exit 1
