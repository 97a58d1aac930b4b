#!/usr/bin/env bash
# Makes sure that tools are there: installs Debian packages when root, else says what is missing.
# Usage: scripts/need.sh cc chromium cargo node
set -eu

missing_packages=()
missing_by_hand=()
for tool in "$@"; do
  case "$tool" in
    cc) command -v cc >/dev/null || missing_packages+=(build-essential) ;;
    amtool) command -v amtool >/dev/null || missing_packages+=(prometheus-alertmanager) ;;
    chromium) command -v "${CHROMIUM:-chromium}" >/dev/null || missing_packages+=(chromium) ;;
    influx) command -v influx >/dev/null || missing_packages+=(influxdb-client) ;;
    influxd) command -v influxd >/dev/null || missing_packages+=(influxdb) ;;
    mosquitto) command -v mosquitto >/dev/null || missing_packages+=(mosquitto) ;;
    mosquitto_pub) command -v mosquitto_pub >/dev/null || missing_packages+=(mosquitto-clients) ;;
    pgbouncer) command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing_packages+=(pgbouncer) ;;
    # A PostgreSQL of any version will do, with PostGIS for it.
    postgres)
      initdb=$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
      [ -n "$initdb" ] || missing_packages+=(postgresql-15)
      share=$("$(dirname "$(readlink -f "${initdb:-/}")")/pg_config" --sharedir 2>/dev/null || true)
      [ -e "${share:-/usr/share/postgresql/15}/extension/postgis.control" ] || missing_packages+=(postgresql-15-postgis-3) ;;
    promtool) command -v promtool >/dev/null || missing_packages+=(prometheus) ;;
    psql) command -v psql >/dev/null || missing_packages+=(postgresql-client) ;;
    cargo) command -v cargo >/dev/null || missing_by_hand+=("a Rust toolchain (cargo), 1.89 or later") ;;
    cargo-fuzz) command -v cargo-fuzz >/dev/null || missing_by_hand+=("cargo-fuzz, with nightly Rust (rustup toolchain install nightly; cargo install cargo-fuzz)") ;;
    jq) command -v jq >/dev/null || missing_packages+=(jq) ;;
    mmdebstrap) command -v mmdebstrap >/dev/null || missing_packages+=(mmdebstrap) ;;
    podman) command -v podman >/dev/null || missing_packages+=(podman runc conmon netavark aardvark-dns iptables) ;;
    node) { command -v node && command -v npm; } >/dev/null || missing_by_hand+=("Node.js 20 or later with npm") ;;
    *) echo "need.sh: no rule for '$tool'" >&2; exit 64 ;;
  esac
done

if [ "${#missing_by_hand[@]}" -gt 0 ]; then
  for thing in "${missing_by_hand[@]}"; do echo "missing: $thing" >&2; done
  exit 1
fi
[ "${#missing_packages[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing_packages[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing_packages[@]}" >/dev/null
else
  echo "missing: Debian packages ${missing_packages[*]}; install them with" >&2
  echo "  sudo apt-get install ${missing_packages[*]}" >&2
  exit 1
fi
