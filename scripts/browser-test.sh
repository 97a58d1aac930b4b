#!/usr/bin/env bash
# Starts a demo on a free port, waits until it has history, and runs the browser test against it.
# Usage: scripts/browser-test.sh path/to/smartem
set -eu

binary=$1
work=$(mktemp -d)
demo=
finish() {
  [ -n "$demo" ] && kill "$demo" 2>/dev/null && wait "$demo" 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

"$binary" demo --listen 127.0.0.1:0 --data-dir "$work/data" --days 2 --stations 12 --cadence 60 \
  >"$work/out" 2>"$work/log" &
demo=$!

url=
for _ in $(seq 1 100); do
  url=$(sed -n 's/^smartem is at //p' "$work/out")
  [ -n "$url" ] && break
  sleep 0.1
done
if [ -z "$url" ]; then
  echo "the demo did not start:" >&2
  cat "$work/log" >&2
  exit 1
fi

value_of() {
  curl_free_get "${url}metrics" | sed -n "s/^$1 //p"
}
# Node is there anyway; curl may not be.
curl_free_get() {
  node -e 'fetch(process.argv[1]).then(a => a.text()).then(t => process.stdout.write(t))' "$1"
}
for _ in $(seq 1 120); do
  if [ "$(value_of smartem_raw_records)" -gt 300 ] && [ "$(value_of smartem_raw_records_dirty)" -eq 0 ]; then
    break
  fi
  sleep 0.5
done

cd "$(dirname "$0")/../web"
SMARTEM_URL="$url" CHROMIUM="$(command -v "${CHROMIUM:-chromium}")" npm run e2e
