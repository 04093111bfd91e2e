#!/usr/bin/env bash
# containerfile.sh ROOT PROGRAM CMAKE: the container file without an engine that builds it. What .dockerignore lets through
# is enough to configure and install; the packages of the last stage have every library of the program; its command starts
# the server; it runs without privileges; npm's dockerfile-utils finds nothing, where npm has it.
set -euo pipefail
root=$1 program=$2 cmake=$3
file=$root/packaging/Containerfile
folder=$(mktemp -d)
server=
cleanup() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
fail() { printf '%s\n' "$*"; exit 1; }

# One instruction a line, without comments.
sed -e '/^[[:space:]]*#/d' -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;ba' -e '}' "$file" >"$folder/lines"
last=$(sed -n '/^FROM .*slim$/,$p' "$folder/lines")
[[ -n $last ]] || fail "the last stage is not found"
instruction() { sed -n "s/^$1 //p" <<<"$last"; }

user=$(instruction USER)
[[ ${user%%:*} =~ ^[1-9][0-9]*$ ]] || fail "USER: expected a number other than 0, got '$user'"
[[ $(instruction STOPSIGNAL) == SIGTERM ]] || fail "STOPSIGNAL: the server ends in order at SIGTERM"
[[ $(instruction HEALTHCHECK) == *'CMD curl '*'/health' ]] || fail "HEALTHCHECK: expected curl to ask for /health"
! grep -E '^FROM ' "$folder/lines" | grep -vE ':12(-slim)?( AS build)?$' || fail "FROM: expected Debian 12"
! grep -E '^ADD |--(privileged|security)|sudo|:latest' "$folder/lines" || fail "that is not wanted here"

# Every library that the program names is of a package that is installed, or that one of those needs.
installed=" $(grep -oE 'install -y --no-install-recommends [^&]*' <<<"$last" | cut -d' ' -f4- | tr -s ' ') libc6 libgcc-s1 "
if command -v objdump >/dev/null && command -v dpkg-query >/dev/null; then
  while read -r library; do
    found=
    for package in $(dpkg-query -S "*/$library" | cut -d: -f1 | sort -u); do
      [[ $installed != *" $package "* ]] || found=1
    done
    [[ -n $found ]] || fail "no package of the last stage has $library, which the program needs"
  done < <(objdump -p "$program" | awk '$1 == "NEEDED" {print $2}')
fi

# The files that the engine would see.
mkdir "$folder/context"
while read -r kept; do
  [[ -e $root/$kept ]] || fail ".dockerignore: there is no $kept"
  mkdir -p "$folder/context/$(dirname "$kept")"
  cp -R "$root/$kept" "$folder/context/$kept"
done < <(sed -n 's/^!//p' "$root/.dockerignore")
grep -qx '\*' "$root/.dockerignore" || fail ".dockerignore: expected everything else to be left out"
"$cmake" -S "$folder/context" --preset release >"$folder/log" 2>&1 || { cat "$folder/log"; fail "what .dockerignore lets through cannot be configured"; }
while read -r installed_file; do
  [[ -e $installed_file ]] || fail "$installed_file would be installed and is not let through by .dockerignore"
done < <(grep -ohE "\"$folder/context/[^\"]*\"" "$folder/context/build/release/cmake_install.cmake" | tr -d '"' | grep -v "^$folder/context/build/")

# The command with a key, a free port and an address of this machine in place of the container's.
printf '0123456789abcdef0123456789abcdef\n' >"$folder/api-key"
mapfile -t command < <(instruction CMD | head -n 1 | tr -d '[]",' | tr ' ' '\n' |
  sed -e 's/^0\.0\.0\.0$/127.0.0.1/' -e 's/^8080$/0/' -e "s|^/run/secrets/.*|$folder/api-key|")
[[ ${command[0]} == serve && " ${command[*]} " == *" $folder/api-key "* ]] || fail "CMD: expected serve with a key, got ${command[*]}"
health=$(instruction HEALTHCHECK | sed 's/^.*CMD //')
# check_health OPTION...: HEALTHCHECK finds a server with these options well, and one that has ended ill.
check_health() {
  local address check
  : >"$folder/address"
  "$program" "${command[@]}" "$@" >"$folder/address" 2>"$folder/log" &
  server=$!
  until [[ -s $folder/address ]]; do
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$folder/log")"
    sleep 0.05
  done
  address=$(<"$folder/address")
  check=${health//127.0.0.1:8080/${address#*://}}
  no_proxy=127.0.0.1 sh -c "$check" || fail "HEALTHCHECK: '$check' finds the server ill, which was started with: $*"
  kill -TERM "$server"
  wait "$server" || fail "the server ended with $?: $(cat "$folder/log")"
  server=
  ! no_proxy=127.0.0.1 sh -c "$check" || fail "HEALTHCHECK: '$check' finds a server well that has ended"
}
check_health
if command -v openssl >/dev/null; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=elsewhere \
    -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>"$folder/log" || fail "$(cat "$folder/log")"
  check_health --tls-cert "$folder/cert.pem" --tls-key "$folder/key.pem"
fi

# What Debian does not have.
cache=${LILLE_DEPLOY_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/lille/deploy}
lint=$cache/node_modules/.bin/dockerfile-utils
if [[ ! -x $lint ]] && command -v npm >/dev/null && mkdir -p "$cache"; then
  npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund dockerfile-utils@0.16.3 >/dev/null 2>&1 || true
fi
[[ -x $lint ]] || { echo "not linted: npm does not install dockerfile-utils here"; exit 0; }
said=$("$lint" lint "$file") || fail "$said"
[[ -z $said ]] || fail "$said"
