#!/usr/bin/env bash
# proxies.sh ROOT: HAProxy and nginx read their configurations of docs/deploy without a fault. Says which of them is not
# there and ends well.
set -euo pipefail
root=$1/docs/deploy
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if command -v haproxy >/dev/null; then
  haproxy -c -q -f "$root/haproxy.cfg"
else
  echo "skipped: there is no haproxy"
fi
if command -v nginx >/dev/null; then
  # Its files stand where everybody can write.
  sed "s|/run/nginx.pid|$folder/nginx.pid|; s|/var/log/nginx|$folder|" "$root/nginx.conf" >"$folder/nginx.conf"
  nginx -t -q -c "$folder/nginx.conf" -g "error_log $folder/error.log;"
else
  echo "skipped: there is no nginx"
fi
