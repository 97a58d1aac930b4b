#!/usr/bin/env bash
# A month of 60 simulated stations: refined from nothing, then all of it again.
#
# Fills a store in a temporary folder through the real protocol (not timed), then times the refiner,
# from the store to the store, and prints what it took. A smaller one: DAYS=3 STATIONS=10 bench/month.sh
#
#   DAYS      days of history                       31
#   STATIONS  stations                              60
#   CADENCE   seconds between two samples           11
#   SEED      another seed is another city          1
#   BINARY    the program                           target/release/smartem
#   WORK      folder for the store, which is kept   a temporary one, which is removed

set -euo pipefail
cd "$(dirname "$0")/.."

DAYS=${DAYS:-31} STATIONS=${STATIONS:-60} CADENCE=${CADENCE:-11} SEED=${SEED:-1}
BINARY=$(realpath "${BINARY:-target/release/smartem}")
if [[ ! -x $BINARY ]]; then
    echo "there is no $BINARY; make it with: cargo build --release -p smartem" >&2
    exit 1
fi

simulator=
work=${WORK:-$(mktemp -d)}
clean() {
    if [[ -n $simulator ]]; then kill "$simulator" 2>/dev/null || true; fi
    if [[ -z ${WORK:-} ]]; then rm -rf "$work"; fi
}
trap clean EXIT
mkdir -p "$work"
data=$work/data

# Long ago, so that every hour is complete and none is asked for again.
since=2026-03-01T00:00:00Z
until=$(date -u -d "$since + $DAYS days" +%Y-%m-%dT%H:%M:%SZ)
now=$(date -u -d "$until + 2 days" +%Y-%m-%dT%H:%M:%SZ)

smartem() { "$BINARY" "$@" --config "$work/smartem.toml" --data-dir "$data"; }

# Sum of a counter in a summary line, 0 when it is not there.
count() { sed -n "s/.*[ ,:]$1 \([0-9]\+\).*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'; }

bytes() { cat "$data"/smartem.sqlite* | wc -c; }

# Runs a command; leaves seconds and peak kilobytes in the file $1.
measure() {
    local out=$1
    shift
    if [[ -x /usr/bin/time ]]; then
        /usr/bin/time -f '%e %M' -o "$out" "$@"
        return
    fi
    # Without it: the clock of bash, and the peak that Linux keeps of the process.
    local start=$EPOCHREALTIME peak=0 pid
    "$@" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo "$peak")
        sleep 0.1
    done
    wait "$pid"
    awk -v a="$start" -v b="$EPOCHREALTIME" -v peak="${peak:-0}" 'BEGIN { print b - a, peak }' >"$out"
}

# Times a run of the refiner and prints its figures.
refine() {
    local name=$1
    shift
    measure "$work/time" "$BINARY" etl run refiner "$@" \
        --config "$work/smartem.toml" --data-dir "$data" >"$work/refined" 2>"$work/log"
    local hours seconds peak
    hours=$(count records_refined "$work/refined")
    read -r seconds peak < <(tail -n 1 "$work/time")
    awk -v name="$name" -v hours="$hours" -v seconds="$seconds" -v peak="$peak" 'BEGIN {
        printf "%-9s %d station-hours in %.1f s: %.0f hours/s end to end; peak memory %.0f MB\n",
            name, hours, seconds, hours / seconds, peak / 1024
    }'
}

cat >"$work/smartem.toml" <<TOML
[process.refiner]
budget = "24h"
[process.harvester-whale]
budget = "24h"
output = ["store.raw"]
TOML
"$BINARY" simulate whale --listen 127.0.0.1:0 --seed "$SEED" --stations "$STATIONS" \
    --cadence "$CADENCE" --since "$since" --until "$until" --now "$now" >"$work/simulator" &
simulator=$!
until grep -qs http "$work/simulator"; do sleep 0.1; done
cat >>"$work/smartem.toml" <<TOML
[[process.harvester-whale.source]]
name = "city"
url = "$(grep -o 'http.*' "$work/simulator")"
TOML

echo "$STATIONS stations, $DAYS days, a sample each $CADENCE s"
smartem store migrate >"$work/log" 2>&1
smartem etl run harvester-whale >"$work/harvested" 2>"$work/log"
kill "$simulator"
simulator=
hours=$(count records_new "$work/harvested")
values=$(count values_read "$work/harvested")
awk -v hours="$hours" -v values="$values" -v bytes="$(bytes)" 'BEGIN {
    printf "harvested %d station-hours, %d raw values; %.1f MB on disk: %.3f bytes for each raw value\n",
        hours, values, bytes / 1e6, bytes / values
}'
refine refined
awk -v bytes="$(bytes)" 'BEGIN { printf "on disk   %.1f MB with observations\n", bytes / 1e6 }'
refine replayed --replay
smartem etl status | tail -n 1
