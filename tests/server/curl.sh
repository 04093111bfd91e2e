#!/usr/bin/env bash
# curl.sh PROGRAM: curl talks with `lille serve`. In a stream of 1 to 4 answers, of both forms, everything is told once
# and in order: whose turn it is, text, how it ended, what was used, [DONE]; and it says what the reply in one piece says.
set -euo pipefail
program=$1
folder=$(mktemp -d)
server=
cleanup() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder"
export no_proxy=127.0.0.1

fail() {
  printf '%s\n' "$*"
  exit 1
}

# start OPTION...: a server with its address in $url.
start() {
  : >address
  "$program" serve --port 0 "$@" >address 2>log &
  server=$!
  until [[ -s address ]]; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat log)"
    sleep 0.05
  done
  url=$(<address)
}

# stop: ends it as a service manager does.
stop() {
  kill -TERM "$server"
  wait "$server" || fail "the server ended with $?: $(cat log)"
  server=
  ! curl -sS "$url/health" 2>/dev/null || fail "the server still answers"
}

start

# post PATH BODY: the reply's body.
post() { curl -sS --no-buffer -H 'Content-Type: application/json' -d "$2" "$url$1"; }
count() { grep -c -- "$1" stream || true; }

check_stream() {
  local path=$1 fields=$2 n=$3 index expected_roles=0
  post "$path" "{$fields, \"n\": $n, \"max_tokens\": 6, \"seed\": 1}" >whole
  post "$path" "{$fields, \"n\": $n, \"max_tokens\": 6, \"seed\": 1, \"stream\": true, \"stream_options\": {\"include_usage\": true}}" >stream
  [[ $path != */chat/* ]] || expected_roles=$n
  [[ $(count '^data: ') == "$(grep -c . stream)" ]] || fail "$path, n=$n: a line is no event: $(cat stream)"
  [[ $(count '"role":"assistant"') == "$expected_roles" ]] || fail "$path, n=$n: roles: $(cat stream)"
  [[ $(count '"finish_reason":"') == "$n" ]] || fail "$path, n=$n: ends: $(cat stream)"
  [[ $(count '"usage":{') == 1 ]] || fail "$path, n=$n: usage: $(cat stream)"
  [[ $(count '^data: \[DONE\]$') == 1 ]] || fail "$path, n=$n: [DONE]: $(cat stream)"
  [[ $(grep . stream | tail -n 1) == 'data: [DONE]' ]] || fail "$path, n=$n: [DONE] is not the last"
  grep . stream | tail -n 2 | head -n 1 | grep -q '"choices":\[\],"usage":{' || fail "$path, n=$n: usage is not the last but one"
  for ((index = 0; index < n; ++index)); do
    grep "\"index\":$index," stream | tail -n 1 | grep -q '"finish_reason":"' || fail "$path, n=$n: $index goes on after its end"
    ((expected_roles == 0)) || grep "\"index\":$index," stream | head -n 1 | grep -q '"role":"assistant"' ||
      fail "$path, n=$n: $index does not begin with its role"
  done
  # The texts, one after the other, are those of the reply in one piece.
  for ((index = 0; index < n; ++index)); do
    grep "\"index\":$index," stream | grep -v '"role"' | sed -nE 's/.*"(text|content)":"(([^"\\]|\\.)*)".*/\2/p' | tr -d '\n' >>streamed
    printf '\n' >>streamed
  done
  grep -oE "\"(text|content)\":\"([^\"\\\\]|\\\\.)*\"" whole | sed -E 's/^"(text|content)":"(.*)"$/\2/' >said
  cmp -s streamed said || fail "$path, n=$n: the stream says $(cat streamed), the whole reply $(cat said)"
  rm streamed
}

for n in 1 2 3 4; do
  check_stream /v1/chat/completions '"messages": [{"role": "user", "content": "What is a river?"}]' "$n"
  check_stream /v1/completions '"prompt": "Once upon a time"' "$n"
done

# A client that leaves in the middle of a stream, and one that asks wrongly, change nothing for the next.
curl -sS --no-buffer -d '{"prompt": "x", "max_tokens": 500, "stream": true}' "$url/v1/completions" 2>/dev/null | head -c 100 >left || true
[[ -s left ]] || fail "the stream that was left did not begin"
[[ $(curl -sS -o refused -w '%{http_code}' -d '{"prompt": 5}' "$url/v1/completions") == 400 ]] || fail "not refused: $(cat refused)"
check_stream /v1/completions '"prompt": "Once upon a time"' 2
[[ $(curl -sS -w '%{http_code}' -o health "$url/health") == 200 ]] || fail "health: $(cat health)"

stop

# The soft limit of open files is raised to the hard one, and one that is too low for all connections is told.
printf '#!/bin/sh\nulimit -n 300\nulimit -Sn 100\nexec "%s" "$@"\n' "$program" >limited
chmod +x limited
program=$PWD/limited start
grep -q 'Max open files *300 *300 ' "/proc/$server/limits" || fail "limits: $(cat "/proc/$server/limits")"
grep -q -- '--max-connections 1100: the system lets this process have 300 open files' log || fail "no warning: $(cat log)"
stop
program=$PWD/limited start --max-connections 200
! grep -q 'open files' log || fail "a warning for nothing: $(cat log)"
stop

# The same over TLS; curl trusts the certificate that was made here and no other.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem 2>openssl_log || fail "$(cat openssl_log)"
start --tls-cert cert.pem --tls-key key.pem
[[ $url == https://127.0.0.1:* ]] || fail "the address is $url"
! curl -sS "$url/health" 2>/dev/null || fail "curl trusts anybody"
export CURL_CA_BUNDLE=$PWD/cert.pem
check_stream /v1/completions '"prompt": "Once upon a time"' 2
[[ $(curl -sS -o plain -w '%{http_code}' "http://${url#https://}/health") == 400 ]] || fail "HTTP without TLS: $(cat plain)"
for version in 1.2 1.3; do
  [[ $(curl -sS --tlsv$version --tls-max $version -w '%{http_code}' -o health "$url/health") == 200 ]] || fail "TLS $version: $(cat health)"
done
stop
