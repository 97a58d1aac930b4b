#!/usr/bin/env bash
# Builds the image of smartem from a static program, without pulling anything.
#
#   scripts/image.sh [--binary FILE] [--twice] [--archive FILE]
#
#   --binary FILE   takes this program instead of building one
#   --twice         builds again without a cache and fails unless the digest is the same
#   --archive FILE  also writes the image as an OCI archive, for machines without a registry
#
# The same commit gives the same image where these are the same: the Rust toolchain, the C compiler and linker,
# the built viewer (web/dist) and the certificates (CA_BUNDLE, /etc/ssl/certs/ca-certificates.crt unless set).
# The folder of the checkout and the home of Cargo do not matter: their paths are mapped away.
set -euo pipefail
cd "$(dirname "$0")/.."

# MB as a registry keeps it and a node pulls it (compressed), and as it lies on a disk.
limit_pulled=20 limit_unpacked=40

binary='' twice='' archive=''
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=${2:?--binary needs a file}; shift ;;
    --archive) archive=${2:?--archive needs a file}; shift ;;
    --twice) twice=yes ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "image: no option \`$1\`; see --help" >&2; exit 64 ;;
    esac
    shift
done

engine=$(command -v podman || command -v docker || true)
[ -n "$engine" ] || { echo "image: neither podman nor docker is installed" >&2; exit 1; }
ca_bundle=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
[ -s "$ca_bundle" ] || { echo "image: no certificates in $ca_bundle; install ca-certificates or set CA_BUNDLE" >&2; exit 1; }

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
tag=smartem:$version
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [ -n "$(git status --porcelain 2>/dev/null)" ]; then commit=$commit-dirty; fi
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)

if [ -z "$binary" ]; then
    scripts/need.sh cargo cc
    [ -e web/dist/index.html ] || { echo "image: the viewer is not built; run \`make web\` first" >&2; exit 1; }
    target=$(rustc -vV | sed -n 's/^host: //p')
    binary=target/$target/image/smartem
    sources=(Cargo.toml Cargo.lock crates config devices vocabulary models web/dist)
    if [ ! -x "$binary" ] || [ -n "$(find "${sources[@]}" -type f -newer "$binary" -print -quit)" ]; then
        SMARTEM_COMMIT=$commit \
            RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all --remap-path-prefix=$PWD=/smartem --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
            cargo build --profile image --locked -p smartem --target "$target"
    fi
fi
# In an image without a loader, a program that wants one says only "no such file".
if LC_ALL=C ldd "$binary" 2>/dev/null | grep -q '=>'; then
    echo "image: $binary needs libraries that the image does not have; build it with target-feature=+crt-static" >&2
    exit 1
fi

stage=target/image
rm -rf "$stage"
mkdir -p "$stage/data" "$stage/root/etc/ssl/certs" "$stage/root/etc/smartem" "$stage/root/tmp" "$stage/root/var/lib"
cp "$binary" "$stage/root/smartem"
# Names of functions are a sixth of the program; messages of panics keep file and line.
if command -v strip >/dev/null; then strip --strip-all "$stage/root/smartem"; fi
cp "$ca_bundle" "$stage/root/etc/ssl/certs/ca-certificates.crt"
echo 'smartem:x:65532:65532:smartem:/var/lib/smartem:/nonexistent' >"$stage/root/etc/passwd"
echo 'smartem:x:65532:' >"$stage/root/etc/group"
find "$stage" -type d -exec chmod 0755 {} +
find "$stage" -type f -exec chmod 0644 {} +
chmod 0755 "$stage/root/smartem"
chmod 1777 "$stage/root/tmp"
find "$stage" -exec touch --no-dereference --date "@$epoch" {} +

build() {
    local arguments=(--file deploy/Dockerfile --tag "$tag"
        --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" --build-arg "CREATED=$created")
    case $engine in
    # Images in Docker format name a random container, so that no two are the same.
    *podman) arguments+=(--format oci --pull=never --layers=false --timestamp "$epoch" --quiet) ;;
    # BuildKit; the time of files in layers is that of the epoch only where it exports them so.
    *) arguments+=(--quiet) ;;
    esac
    SOURCE_DATE_EPOCH=$epoch "$engine" build "$@" "${arguments[@]}" "$stage" >/dev/null
}
# The image id is the digest of its configuration, which names the digests of its layers.
digest() { "$engine" image inspect "$tag" --format '{{.Id}}' | sed 's/^sha256://;s/^/sha256:/'; }

build
digest=$(digest)
if [ -n "$twice" ]; then
    build --no-cache
    again=$(digest)
    if [ "$digest" != "$again" ]; then
        echo "image: two builds differ: $digest and $again" >&2
        exit 1
    fi
    echo "image: two builds gave the same image"
fi

unpacked=$(du --bytes --total "$stage/root/smartem" "$stage/root/etc/ssl/certs/ca-certificates.crt" | tail -n 1 | cut -f1)
pulled=$("$engine" save "$tag" | gzip -6 | wc -c)
mb() { echo "$((($1 + 999999) / 1000000))"; }
echo "image: $tag $digest"
echo "image: $(mb "$pulled") MB to pull (limit $limit_pulled), $(mb "$unpacked") MB on disk (limit $limit_unpacked)"
echo "image: certificates sha256 $(sha256sum "$ca_bundle" | cut -d' ' -f1)"
echo "$digest" >"$stage/digest"

if [ -n "$archive" ]; then
    case $engine in
    *podman) podman save --quiet --format oci-archive --output "$archive" "$tag" ;;
    *) docker save --output "$archive" "$tag" ;;
    esac
    echo "image: written to $archive"
fi
if [ "$(mb "$pulled")" -gt "$limit_pulled" ] || [ "$(mb "$unpacked")" -gt "$limit_unpacked" ]; then
    echo "image: larger than it may be" >&2
    exit 1
fi
