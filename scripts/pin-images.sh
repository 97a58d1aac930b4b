#!/usr/bin/env bash
# Asks the registries for the digests of the tags in deploy/images.toml and writes them there, below [digests].
#
#   scripts/pin-images.sh [KEY...]
#
# It needs the registries, and skopeo. Only what a registry answered is written; when one does not
# answer, nothing is. `smartem` is left out unless named: it is where you pushed it.
# REGISTRY is put before names that have none, such as `REGISTRY=registry.example`.
set -euo pipefail
cd "$(dirname "$0")/.."
file=deploy/images.toml

command -v skopeo >/dev/null || {
    echo "pin-images: install skopeo, which asks a registry for a digest without pulling" >&2
    exit 1
}

table() { sed -n "/^\[$1\]/,/^\[/{/^\[/d;p}" "$file"; }
keys=("$@")
if [ "${#keys[@]}" -eq 0 ]; then
    mapfile -t keys < <(table images | sed -n 's/^\([a-z]*\) *=.*/\1/p' | grep -v '^smartem$')
fi

pins=()
for key in "${keys[@]}"; do
    image=$(table images | sed -n "s/^$key *= *\"\([^\"]*\)\".*/\1/p")
    [ -n "$image" ] || { echo "pin-images: [images] of $file has no key \`$key\`" >&2; exit 64; }
    case ${image%%/*} in
    *.* | *:*/*) ;;
    *) [ -z "${REGISTRY:-}" ] || image=$REGISTRY/$image ;;
    esac
    digest=$(skopeo inspect --format '{{.Digest}}' "docker://$image") || {
        echo "pin-images: no digest of $image; nothing was written" >&2
        exit 75
    }
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
        echo "pin-images: $image: \`$digest\` is no digest; nothing was written" >&2
        exit 65
    }
    echo "pin-images: $image is $digest"
    pins+=("$key = \"$digest\"")
done

# What was asked replaces what stood there; other keys stay.
new=$(mktemp)
trap 'rm -f "$new"' EXIT
sed '/^\[digests\]/q' "$file" >"$new"
{
    table digests | while IFS= read -r line; do
        key=${line%% *}
        kept=yes
        for pin in "${pins[@]}"; do [ "${pin%% *}" != "$key" ] || kept=''; done
        if [ -n "$kept" ] && [ -n "$line" ]; then echo "$line"; fi
    done
    printf '%s\n' "${pins[@]}"
} | sort >>"$new"
cat "$new" >"$file"
