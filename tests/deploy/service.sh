#!/usr/bin/env bash
# service.sh UNIT PROGRAM: systemd finds nothing wrong with the service and little that it could do beyond its task, and
# its command starts the server. Says so and ends well where there is no systemd-analyze.
set -euo pipefail
unit=$1 program=$2
command -v systemd-analyze >/dev/null || { echo "skipped: there is no systemd-analyze"; exit 0; }
# Of 100; 12 is what a server that has the network needs.
max_exposure=15
folder=$(mktemp -d)
server=
cleanup() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
fail() { printf '%s\n' "$*"; exit 1; }

# check FILE: systemd ends well also after what it only warns of, so nothing may be said.
check() {
  local said
  said=$(systemd-analyze verify --man=no "$1" 2>&1) || said+=" (status $?)"
  [[ -z $said ]] || { printf '%s\n' "$said"; return 1; }
  systemd-analyze security --offline=true --no-pager --threshold=$max_exposure "$1" >"$folder/exposure" 2>&1 ||
    { cat "$folder/exposure"; return 1; }
}

# What is verified has the program in its place; the name alone is looked for where programs are installed.
sed "s|^ExecStart=lille |ExecStart=$program |" "$unit" >"$folder/lille.service"
grep -q "^ExecStart=$program " "$folder/lille.service" || fail "the service does not start lille"
check "$folder/lille.service" || fail "the service is not as systemd wants it"

# The check would tell.
mkdir "$folder/broken"
sed 's/^ProtectHome=/ProtectHouse=/' "$folder/lille.service" >"$folder/broken/lille.service"
! check "$folder/broken/lille.service" >/dev/null || fail "systemd takes a key that it does not know"
grep -vE '^(SystemCall|Restrict|Capability)' "$folder/lille.service" >"$folder/broken/lille.service"
! check "$folder/broken/lille.service" >/dev/null || fail "systemd finds half of the sandbox enough"

# The command, with what systemd would put in.
printf '0123456789abcdef0123456789abcdef\n' >"$folder/api-key"
export CREDENTIALS_DIRECTORY=$folder LILLE_OPTIONS="--port 0"
: >"$folder/address"
bash -c "exec $(sed -n 's/^ExecStart=//p' "$folder/lille.service")" >"$folder/address" 2>"$folder/log" &
server=$!
until [[ -s $folder/address ]]; do
  kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$folder/log")"
  sleep 0.05
done
url=$(<"$folder/address")
status() { curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$@"; }
[[ $(status "$url/health") == 200 ]] || fail "/health is not well"
[[ $(status "$url/v1/models") == 401 ]] || fail "it answers without a key"
[[ $(status -H "Authorization: Bearer $(<"$folder/api-key")" "$url/v1/models") == 200 ]] || fail "it does not take the key"
kill -TERM "$server"
wait "$server" || fail "the server ended with $?: $(cat "$folder/log")"
server=
