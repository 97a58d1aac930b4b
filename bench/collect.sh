#!/usr/bin/env bash
# The collector beside InfluxDB 1.x and VictoriaMetrics: the same client, load and machine, one after
# the other in one run. Needs a release build and Debian's `influxdb` and `victoria-metrics`; a server
# that is not there is left out, saying so.
#   bench/collect.sh [MINUTES]      of 500 stations with 8 fields; the default is 14400 (ten days)
set -eu
cd "$(dirname "$0")/.."
minutes="${1:-14400}"
[ -n "${SKIP_BUILD:-}" ] || cargo build --release --locked -p smartem
[ -n "${SKIP_BUILD:-}" ] || cargo build --release --locked -p smartem-simulate --example load_points
load="target/release/examples/load_points"
smartem="${SMARTEM:-$PWD/target/release/smartem}"
work="$(mktemp -d -p target)"
work="$PWD/$work"
server=""
stop() { [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; server=""; }
trap 'stop; rm -rf "$work"' EXIT

wait_for() { for _ in $(seq 600); do curl -fs -o /dev/null "$1" && return; sleep 0.1; done; echo "no answer at $1" >&2; exit 1; }
now() { date +%s.%N; }
median() { sort -n | awk '{v[NR]=$1} END {printf "%.1f", v[int((NR+1)/2)] * 1000}'; }
ask() { for _ in $(seq 21); do curl -s -o /dev/null -w '%{time_total}\n' -G "$1" "${@:2}"; done | median; }
size() { du -sb "$1" | cut -f1; }

# The rate until everything is committed: the clock stops when `settled` says so.
measure() { # name, url, kind, amount, folder, settled
  local values after end before sent
  before="$(size "$5")"
  "$load" "$2" "$3" "$4" 4 > "$work/out"
  cat "$work/out"
  after="$(now)"
  "$6"
  end="$(now)"
  values="$(sed -n 's/acknowledged: \([0-9]*\) values.*/\1/p' "$work/out")"
  # Making the load does not count: the client tells how long sending took.
  sent="$(sed -n 's/.* MB, \([0-9.]*\) s,.*/\1/p' "$work/out")"
  sync
  awk -v n="$1 $3" -v v="$values" -v s="$sent" -v a="$after" -v e="$end" -v b="$(( $(size "$5") - before ))" \
    'BEGIN { printf "%s: %.2f M values/s until all is committed, %.2f bytes a value\n", n, v / (s + e - a) / 1e6, b / v }'
}

echo "== disk: $(python3 - "$work" <<'P'
import os, sys, time
f = os.open(sys.argv[1] + "/sync", os.O_CREAT | os.O_WRONLY)
start, count = time.time(), 0
while time.time() - start < 2:
    os.write(f, b"x" * 512); os.fdatasync(f); count += 1
print(f"{count / (time.time() - start):.0f} fdatasync/s of 512 bytes")
P
)"

smartem_settled() {
  for _ in $(seq 1200); do
    curl -s "$url/api/v1/collector" | grep -q '"waiting_bytes":0' && return
    sleep 0.1
  done
}
mkdir "$work/smartem"
cat > "$work/smartem/smartem.toml" <<T
[collect]
commit_every = "1s"
[collect.mqtt]
enabled = false
[[collect.database]]
name = "load"
station = "tag:station"
station_type = "vanilla"
T
url="http://127.0.0.1:18086"
(cd "$work/smartem" && "$smartem" store migrate >/dev/null)
(cd "$work/smartem" && exec "$smartem" collect --listen 127.0.0.1:18086 >"$work/log" 2>&1) &
server=$!
wait_for "$url/ping"
TOKEN="$(cat "$work/smartem/smartem-data/admin-token")"
export TOKEN
echo "== smartem"
measure smartem "$url/write?db=load&precision=s" stations "$minutes" "$work/smartem" smartem_settled
measure smartem "$url/write?db=load&precision=s" series 720 "$work/smartem" smartem_settled
"$load" "$url/write?db=load&precision=s" single 5 64
echo "a day of one station by the hour: $(ask "$url/query" -d db=load --data-urlencode "q=SELECT mean(no2) FROM air WHERE station='s01008' AND time >= '2026-01-06' AND time < '2026-01-07' GROUP BY time(1h)") ms"
echo "the latest of all stations: $(ask "$url/query" -d db=load --data-urlencode "q=SELECT last(pm10) FROM air GROUP BY station") ms"
grep -h "VmHWM" "/proc/$server/status" || true
stop
unset TOKEN

if command -v influxd >/dev/null; then
  nothing() { :; }
  mkdir "$work/influxd"
  cat > "$work/influxd/influxdb.conf" <<T
bind-address = "127.0.0.1:18088"
reporting-disabled = true
[meta]
  dir = "$work/influxd/meta"
[data]
  dir = "$work/influxd/data"
  wal-dir = "$work/influxd/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:18087"
  log-enabled = false
[monitor]
  store-enabled = false
T
  influxd -config "$work/influxd/influxdb.conf" >/dev/null 2>&1 &
  server=$!
  url="http://127.0.0.1:18087"
  wait_for "$url/ping"
  curl -s -o /dev/null -XPOST "$url/query" --data-urlencode "q=CREATE DATABASE load"
  echo "== $(influxd version)"
  measure influxdb "$url/write?db=load&precision=s" stations "$minutes" "$work/influxd" nothing
  measure influxdb "$url/write?db=load&precision=s" series 720 "$work/influxd" nothing
  "$load" "$url/write?db=load&precision=s" single 5 64
  echo "a day of one station by the hour: $(ask "$url/query" -d db=load --data-urlencode "q=SELECT mean(no2) FROM air WHERE station='s01008' AND time >= '2026-01-06' AND time < '2026-01-07' GROUP BY time(1h)") ms"
  echo "the latest of all stations: $(ask "$url/query" -d db=load --data-urlencode "q=SELECT last(pm10) FROM air GROUP BY station") ms"
  stop
else
  echo "== skipped: influxd is not installed"
fi

if command -v victoria-metrics >/dev/null; then
  mkdir "$work/vm"
  url="http://127.0.0.1:18428"
  victoria-metrics -storageDataPath="$work/vm" -httpListenAddr=127.0.0.1:18428 -retentionPeriod=100y >/dev/null 2>&1 &
  server=$!
  wait_for "$url/health"
  vm_settled() { curl -s -o /dev/null "$url/internal/force_flush"; }
  echo "== VictoriaMetrics"
  measure victoria-metrics "$url/write?db=load&precision=s" stations "$minutes" "$work/vm" vm_settled
  measure victoria-metrics "$url/write?db=load&precision=s" series 720 "$work/vm" vm_settled
  stop
else
  echo "== skipped: victoria-metrics is not installed"
fi
