#!/usr/bin/env bash
# Writes what the image is made of as CycloneDX 1.5 (JSON): the crates that are linked into the program on the
# machine it is built for, and the packages of the viewer that npm does not mark as for development only.
#
#   scripts/sbom.sh [FILE]
#
# FILE is target/image/smartem.cdx.json unless named. The digest is the one that scripts/image.sh wrote last;
# without it, none is named.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/need.sh cargo jq

out=${1:-target/image/smartem.cdx.json}
mkdir -p "$(dirname "$out")"
digest=$(cat target/image/digest 2>/dev/null || true)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Name and version of what is linked: neither tests nor what only runs while building.
cargo tree --locked -p smartem --target "$target" --edges normal --prefix none --format '{p}' |
    sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1 \2/p' | sort -u >"$work/linked"
cargo metadata --locked --format-version 1 --filter-platform "$target" >"$work/metadata.json"

jq --raw-input --slurp 'split("\n") | map(select(. != "")) | map(split(" ") | {key: "\(.[0]) \(.[1])", value: true}) | from_entries' \
    "$work/linked" >"$work/linked.json"
jq --slurpfile linked "$work/linked.json" '
    [.packages[] | select($linked[0]["\(.name) \(.version)"]) | {
        type: "library", name, version,
        "bom-ref": "pkg:cargo/\(.name)@\(.version)",
        purl: (if .source then "pkg:cargo/\(.name)@\(.version)" else null end),
        licenses: (if .license then [{expression: (.license | gsub("/"; " OR "))}] else null end)
    } | with_entries(select(.value != null))]' "$work/metadata.json" >"$work/crates.json"

# Sums of crates are in the lock file.
awk '/^name = /{gsub(/"/, "", $3); name = $3} /^version = /{gsub(/"/, "", $3); version = $3}
     /^checksum = /{gsub(/"/, "", $3); print name " " version " " $3}' Cargo.lock |
    jq --raw-input --slurp 'split("\n") | map(select(. != "")) | map(split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}) | from_entries' >"$work/sums.json"

jq '[.packages | to_entries[] | select(.key != "" and (.value.dev // false | not) and (.value.optional // false | not)) | {
        type: "library",
        name: (.key | sub("^.*node_modules/"; "")), version: .value.version,
        purl: "pkg:npm/\(.key | sub("^.*node_modules/"; "") | sub("@"; "%40"))@\(.value.version)",
        licenses: (if .value.license then [{expression: .value.license}] else null end)
    } | .["bom-ref"] = .purl | with_entries(select(.value != null))] | unique_by(.purl)' web/package-lock.json >"$work/packages.json"

jq --null-input --arg version "$version" --arg digest "$digest" --arg time "$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)" \
    --slurpfile crates "$work/crates.json" --slurpfile packages "$work/packages.json" --slurpfile sums "$work/sums.json" '
    {
        bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
        metadata: {
            timestamp: $time,
            component: ({
                type: "container", name: "smartem", version: $version, "bom-ref": "smartem",
                licenses: [{expression: "Apache-2.0"}]
            } + (if $digest == "" then {} else {hashes: [{alg: "SHA-256", content: ($digest | sub("^sha256:"; ""))}]} end))
        },
        components: ([$crates[0][] | . as $crate | $sums[0]["\(.name) \(.version)"] as $sum
                | if $sum then . + {hashes: [{alg: "SHA-256", content: $sum}]} else . end] + $packages[0]
            | sort_by(.["bom-ref"]))
    }' >"$out"
echo "sbom: $(jq '[.components[] | select(.["bom-ref"] | startswith("pkg:cargo"))] | length' "$out") crates and $(jq '[.components[] | select(.["bom-ref"] | startswith("pkg:npm"))] | length' "$out") npm packages in $out"
without=$(jq --raw-output '[.components[] | select(.licenses == null) | .name] | join(", ")' "$out")
[ -z "$without" ] || echo "sbom: without a licence: $without"
