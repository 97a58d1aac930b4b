#!/usr/bin/env bash
# Installs the servers that tests use as object storages, below target/test-tools: moto's S3 (PyPI) and
# azurite (npm). Where they cannot be installed, the tests that need them say that they are skipped.
set -u
cd "$(dirname "$0")/.."
tools=target/test-tools
mkdir -p "$tools"

if [ ! -x "$tools/moto/bin/moto_server" ]; then
  echo "installing moto's S3 server"
  python3 -m venv "$tools/moto" && "$tools/moto/bin/pip" install --quiet 'moto[s3,server]>=5' ||
    echo "skipped: moto's S3 server cannot be installed (needs python3 with venv)" >&2
fi
if [ ! -e "$tools/azurite/node_modules/.bin/azurite-blob" ]; then
  echo "installing azurite"
  mkdir -p "$tools/azurite" && npm install --silent --no-audit --no-fund --prefix "$tools/azurite" azurite@3 >/dev/null ||
    echo "skipped: azurite cannot be installed (needs npm)" >&2
fi
exit 0
