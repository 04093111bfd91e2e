#!/usr/bin/env bash
# container.sh ROOT BUILD CMAKE: the image of packaging/Containerfile answers as docs/deploy/README.md says. podman makes its
# last stage around the program that is built in the folder BUILD, where podman works and has the base image. With
# LILLE_DEPLOY_CONTAINER=whole, podman or docker builds and downloads all of it, which takes as long as building the program
# does. Says so and ends well where it cannot be done.
set -euo pipefail
root=$1 build=$2 cmake=$3
file=$root/packaging/Containerfile
name=lille-test-$$
engine=podman
folder=$(mktemp -d)
cleanup() {
  "$engine" rm -f "$name" >/dev/null 2>&1 || true
  "$engine" rmi -f "$name" >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap cleanup EXIT
skip() { printf 'skipped: %s\n' "$*"; exit 0; }
fail() { printf '%s\n' "$*"; "$engine" logs "$name" 2>&1 | tail -n 20 || true; exit 1; }

options=()
if [[ ${LILLE_DEPLOY_CONTAINER:-} == whole ]]; then
  podman info >/dev/null 2>&1 || engine=docker
  "$engine" info >/dev/null 2>&1 || skip "neither podman nor docker works here"
else
  base=$(sed -n 's/^FROM \(.*slim\)$/\1/p' "$file")
  podman image exists "$base" >/dev/null 2>&1 || skip "there is no podman here that has $base"
  podman run --rm "$base" true >/dev/null 2>&1 || skip "podman cannot run a container here"
  "$cmake" --install "$build" --component program --strip --prefix "$folder/opt/lille" >/dev/null
  options+=(--build-context "build=$folder")
fi
# OCI's format, podman's own, has no health checks.
[[ $engine != podman ]] || options+=(--format docker)
"$engine" build "${options[@]}" -f "$file" -t "$name" "$root"

printf '0123456789abcdef0123456789abcdef\n' >"$folder/api-key"
chmod 755 "$folder"
chmod 644 "$folder/api-key"
"$engine" run -d --name "$name" --read-only --cap-drop all -v "$folder/api-key:/run/secrets/lille-api-key:ro" "$name" >/dev/null
until "$engine" exec "$name" curl -sSf -o /dev/null http://127.0.0.1:8080/health; do
  [[ $("$engine" inspect -f '{{.State.Running}}' "$name") == true ]] || fail "the container ended"
  sleep 0.2
done
[[ $("$engine" inspect -f '{{.Config.Healthcheck}}' "$name") == *"/health"* ]] || fail "the image has no health check"
[[ $("$engine" exec "$name" id -u) == 65532 ]] || fail "it runs as $("$engine" exec "$name" id)"
"$engine" exec "$name" curl -sSf -H "Authorization: Bearer $(<"$folder/api-key")" -d '{"prompt": "Once", "max_tokens": 3}' \
  http://127.0.0.1:8080/v1/completions || fail "no answer"
"$engine" stop "$name" >/dev/null
[[ $("$engine" inspect -f '{{.State.ExitCode}}' "$name") == 0 ]] || fail "it does not end in order"
