#!/usr/bin/env bash
# Installs a SensorThings server and clients of others below target/test-tools/sta, for tests. Where that is
# not possible, the tests that need them say that they are skipped.
set -u
cd "$(dirname "$0")/.."
venv=$PWD/target/test-tools/sta
packages=(django-ogc-sensorthings==1.2.0 frost_sta_client==1.1.53)

wanted=${packages[*]}
[ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ] && exit 0
echo "installing $wanted"
rm -rf "$venv"
if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" && echo "$wanted" >"$venv/.installed"; }; then
  echo "skipped: $wanted cannot be installed (needs python3 with venv, and its registry)" >&2
fi
exit 0
