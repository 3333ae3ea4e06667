#!/usr/bin/env bash
# What `cmake --install` puts down runs by itself: the server finds its models, the client its server.
#   install_test.sh BUILD_DIR
set -euo pipefail
prefix=$(mktemp -d)
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"; rm -rf "$prefix"' EXIT
cmake --install "$1" --prefix "$prefix" >/dev/null
cd "$prefix"
"$prefix/bin/firstbyted" --version
"$prefix/bin/firstbyted" --listen "unix:$prefix/socket" --metrics-listen off --admin-listen off 2> "$prefix/log" &
server=$!
for _ in $(seq 300); do
  grep -q ready "$prefix/log" && break
  kill -0 "$server" || { cat "$prefix/log"; exit 1; }
  sleep 0.1
done
"$prefix/bin/firstbyte" voices --target "unix:$prefix/socket"
"$prefix/bin/firstbyte" say "Installed." --target "unix:$prefix/socket" --out "$prefix/said.wav"
[ "$(stat -c %s "$prefix/said.wav")" -gt 10000 ]
