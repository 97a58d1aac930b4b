#!/usr/bin/env bash
# Puts together what an installation without a network needs of us: the image as an OCI archive, rendered
# overlays, the bill of materials, and sums of all of it. The images of other projects are not in it.
#
#   scripts/kit.sh [--binary FILE] [FOLDER]
#
# FOLDER is target/kit unless named. There: `sha256sum --check SHA256SUMS`, `podman load --input smartem.oci.tar`
# (or `ctr --namespace k8s.io images import smartem.oci.tar`), `kubectl apply --server-side --filename generic.yaml`.
set -euo pipefail
cd "$(dirname "$0")/.."

options=() folder=target/kit
while [ $# -gt 0 ]; do
    case $1 in
    --binary) options+=(--binary "${2:?--binary needs a file}"); shift ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    -*) echo "kit: no option \`$1\`; see --help" >&2; exit 64 ;;
    *) folder=$1 ;;
    esac
    shift
done

rm -rf "$folder.new"
mkdir -p "$folder.new"
scripts/image.sh "${options[@]}" --archive "$folder.new/smartem.oci.tar"
scripts/sbom.sh "$folder.new/smartem.cdx.json"
cp deploy/kubernetes/rendered/*.yaml deploy/images.toml deploy/secrets.toml scripts/make-secrets.sh LICENSE "$folder.new/"
(cd "$folder.new" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort --zero-terminated | xargs -0 sha256sum >SHA256SUMS)
# Whole or not at all.
rm -rf "$folder"
mv "$folder.new" "$folder"
echo "kit: $(find "$folder" -type f | wc -l) files, $(du -sh "$folder" | cut -f1), in $folder"
