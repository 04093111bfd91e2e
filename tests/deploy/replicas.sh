#!/usr/bin/env bash
# replicas.sh ROOT PROGRAM PROXY: three replicas of `lille serve`, each in a network namespace, behind haproxy or nginx with
# the configuration of docs/deploy; replicas.py has them answer, stops one and kills one. Needs root; says so and ends well
# where it cannot be done.
set -euo pipefail
root=$1 program=$2 kind=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for needed in ip "$kind" python3; do
  command -v "$needed" >/dev/null || { echo "skipped: there is no $needed"; exit 0; }
done
front=lille-$$-front
ip netns add "$front" 2>/dev/null || { echo "skipped: network namespaces cannot be made here"; exit 0; }
folder=$(mktemp -d)
namespaces=("$front")
proxy=
cleanup() {
  [[ -z $proxy ]] || kill "$proxy" 2>/dev/null || true
  # What python has started ends with it.
  local namespace
  for namespace in "${namespaces[@]}"; do ip netns del "$namespace" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT

ip -n "$front" link set lo up
for replica in 1 2 3; do
  namespace=lille-$$-$replica
  ip netns add "$namespace"
  namespaces+=("$namespace")
  ip -n "$front" link add "to$replica" type veth peer name out netns "$namespace" 2>"$folder/log" ||
    { echo "skipped: network namespaces cannot be joined here: $(<"$folder/log")"; exit 0; }
  ip -n "$front" address add 10.20.0.1 peer "10.20.0.1$replica" dev "to$replica"
  ip -n "$front" link set "to$replica" up
  ip -n "$namespace" address add "10.20.0.1$replica" peer 10.20.0.1 dev out
  ip -n "$namespace" link set out up
  ip -n "$namespace" link set lo up
done

# Small buffers, so that a stream which nobody reads does not fit into them; time for it; files in a folder of this test;
# and no regard to load, so that it is known which replica gets a request.
case $kind in
  haproxy)
    mkdir "$folder/haproxy"
    sed -e "s|/run/haproxy/admin.sock|$folder/haproxy/admin.sock|" -e '/^  hash-balance-factor /d' -e 's/timeout client .*/timeout client 600s/' \
      "$root/docs/deploy/haproxy.cfg" >"$folder/proxy.cfg"
    printf 'global\n  tune.rcvbuf.server 65536\n  tune.sndbuf.client 65536\n' >"$folder/small.cfg"
    command=(haproxy -db -f "$folder/proxy.cfg" -f "$folder/small.cfg")
    is_ready() { [[ -S $folder/haproxy/admin.sock ]]; }
    ;;
  nginx)
    sed -e "s|/run/nginx.pid|$folder/nginx.pid|; s|/var/log/nginx|$folder|" -e 's/listen 80;/listen 80 sndbuf=64k; send_timeout 600s;/' \
      "$root/docs/deploy/nginx.conf" >"$folder/proxy.cfg"
    command=(nginx -c "$folder/proxy.cfg" -g 'daemon off;')
    is_ready() { [[ -s $folder/nginx.pid ]]; }
    ;;
esac
start_proxy() { exec ip netns exec "$front" "${command[@]}"; }
(start_proxy) >"$folder/proxy.log" 2>&1 &
proxy=$!
until is_ready; do
  kill -0 "$proxy" 2>/dev/null || { cat "$folder/proxy.log"; exit 1; }
  sleep 0.05
done

ip netns exec "$front" python3 "$here/replicas.py" "$program" "lille-$$" "$folder" "$kind" ||
  { tail -n 5 "$folder"/*.log; exit 1; }
