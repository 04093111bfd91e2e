#!/usr/bin/env bash
# container.sh ROOT: builds the container and has it answer. Says so and ends well where no engine works.
set -euo pipefail
root=$1
engine=
for one in podman docker; do
  [[ -n $engine ]] || ! "$one" info >/dev/null 2>&1 || engine=$one
done
[[ -n $engine ]] || { echo "skipped: neither podman nor docker works here"; exit 0; }
name=lille-test-$$
folder=$(mktemp -d)
cleanup() {
  "$engine" rm -f "$name" >/dev/null 2>&1 || true
  "$engine" rmi -f "$name" >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap cleanup EXIT
fail() { printf '%s\n' "$*"; "$engine" logs "$name" 2>&1 | tail -n 20 || true; exit 1; }

"$engine" build -f "$root/packaging/Containerfile" -t "$name" "$root"
printf '0123456789abcdef0123456789abcdef\n' >"$folder/api-key"
chmod 755 "$folder"
chmod 644 "$folder/api-key"
"$engine" run -d --name "$name" --read-only --cap-drop all -v "$folder/api-key:/run/secrets/lille-api-key:ro" "$name" >/dev/null
until "$engine" exec "$name" curl -sSf -o /dev/null http://127.0.0.1:8080/health; do
  [[ $("$engine" inspect -f '{{.State.Running}}' "$name") == true ]] || fail "the container ended"
  sleep 0.2
done
"$engine" exec "$name" curl -sSf -H "Authorization: Bearer $(<"$folder/api-key")" -d '{"prompt": "Once", "max_tokens": 3}' \
  http://127.0.0.1:8080/v1/completions || fail "no answer"
"$engine" stop "$name" >/dev/null
[[ $("$engine" inspect -f '{{.State.ExitCode}}' "$name") == 0 ]] || fail "it does not end in order"
