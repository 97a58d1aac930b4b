#!/usr/bin/env bash
# Renders every overlay of deploy/kubernetes into deploy/kubernetes/rendered/<overlay>.yaml. Before that it makes
# the PrometheusRules of component monitoring-operator from deploy/prometheus/*.rules.yml.
#
#   scripts/render.sh            writes the files
#   scripts/render.sh --check    only tells which differ; status 1 then
#
# KUBECTL is the kubectl to use: that of scripts/deploy-tools.sh unless set, else the one in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

kubectl=${KUBECTL:-target/test-tools/deploy/bin/kubectl}
if ! command -v "$kubectl" >/dev/null; then
    kubectl=kubectl
fi
if ! command -v "$kubectl" >/dev/null; then
    echo "render: no kubectl; run scripts/deploy-tools.sh, or name one: KUBECTL=/path/to/kubectl scripts/render.sh" >&2
    exit 69
fi

check=''
case ${1:-} in
'') ;;
--check) check=yes ;;
*)
    echo "render: no option \`$1\`; there is --check" >&2
    exit 64
    ;;
esac

rendered=deploy/kubernetes/rendered
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# Each file of rules becomes an object; what is in `groups` there is in `spec.groups` here.
rules=deploy/kubernetes/components/monitoring-operator/rules.yaml
{
    echo "# Made by scripts/render.sh from deploy/prometheus/*.rules.yml; change those."
    echo "# yamllint disable rule:line-length"
    for file in deploy/prometheus/*.rules.yml; do
        cat <<RULE
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: smartem-$(basename "$file" .rules.yml)
  namespace: smartemission
spec:
RULE
        sed 's/^\(.\)/  \1/' "$file"
    done
} >"$new/rules"
if [ -z "$check" ]; then
    cp "$new/rules" "$rules"
elif ! diff --unified "$rules" "$new/rules"; then
    echo "render: $rules is not what deploy/prometheus gives; run scripts/render.sh and commit" >&2
    exit 1
fi
rm "$new/rules"

# Others are of a site.
for name in azure edge generic local; do
    "$kubectl" kustomize "deploy/kubernetes/overlays/$name" >"$new/$name.yaml"
done

if [ -n "$check" ]; then
    if ! diff --recursive --unified "$rendered" "$new"; then
        echo "render: $rendered is not what the overlays give; run scripts/render.sh and commit" >&2
        exit 1
    fi
    exit 0
fi
mkdir -p "$rendered"
rm -f "$rendered"/*.yaml
cp "$new"/*.yaml "$rendered"/
echo "$rendered: $(find "$rendered" -name '*.yaml' | wc -l) overlays"
