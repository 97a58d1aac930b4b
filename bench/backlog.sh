#!/usr/bin/env bash
# A thousand stations and a month behind, harvested in runs of 30 s: how many hours each run stores,
# when it ends, and the most memory it takes. Usage: bench/backlog.sh [BINARY]
set -eu

binary=$(realpath "${1:-target/release/smartem}")
folder=$(mktemp -d)
trap 'kill "$remote" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"

now=2026-11-28T00:00:00Z
"$binary" simulate whale --stations 1000 --since 2026-10-28T00:00:00Z --now "$now" \
  --listen 127.0.0.1:0 >remote.log 2>/dev/null &
remote=$!
until url=$(grep -o 'http://[^ ]*' remote.log); do sleep 0.1; done

cat >smartem.toml <<END
[process.harvester-whale]
budget = "30s"
[[process.harvester-whale.source]]
name = "city"
url = "${url%/}"
END
"$binary" store migrate >/dev/null 2>&1
for run in 1 2; do
  began=$(date +%s.%N)
  "$binary" etl run harvester-whale --now "$now" >run.log 2>/dev/null &
  harvester=$!
  peak=0
  while high=$(awk '/VmHWM/ {print $2}' "/proc/$harvester/status" 2>/dev/null) && [ -n "$high" ]; do
    peak=$high
    sleep 0.2
  done
  wait "$harvester"
  echo "run $run: $(cat run.log); $(echo "$(date +%s.%N) - $began" | bc) s, $((peak / 1024)) MB at most"
done
