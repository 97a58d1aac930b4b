#!/bin/bash
# Makes the images of the servers that the end-to-end tests need, from Debian packages and without any image
# registry: one root file system, which is imported once and gets the names that deploy/images.toml has.
#
#   scripts/e2e-images.sh [--force] [--program FILE]
#
#   --force         makes the root file system anew
#   --program FILE  also makes the image of smartem, on that root file system, from a program that may need
#                   libraries: to try things without a release build. `make image` makes the true one.
#
# E2E_SUITE names another release of Debian than bookworm.
set -eu -o pipefail
cd "$(dirname "$0")/.."
scripts/need.sh podman mmdebstrap

suite=${E2E_SUITE:-bookworm}
cache=smartem-e2e-servers:$suite
force='' program=''
while [ $# -gt 0 ]; do
    case $1 in
    --force) force=yes ;;
    --program) program=${2:?--program needs a file}; shift ;;
    *) echo "e2e-images: no option \`$1\`" >&2; exit 64 ;;
    esac
    shift
done

name() { sed -n "/^\[images\]/,/^\[digests\]/s/^$1 *= *\"\([^\"]*\)\".*/\1/p" deploy/images.toml; }

if [ -n "$force" ] || ! podman image exists "$cache"; then
    archive=$(mktemp --suffix=.tar)
    trap 'rm -f "$archive"' EXIT
    echo "e2e-images: a root file system of Debian $suite; minutes"
    # The servers are started by the commands of the manifests, never by scripts of the packages.
    # Debian's PostgreSQL makes a cluster when it is installed; the tests make their own.
    mmdebstrap --quiet --variant=minbase --mode=root \
        --aptopt='APT::Install-Recommends "false"' \
        --include=postgresql-15,postgresql-15-postgis-3,influxdb,influxdb-client,mosquitto,pgbouncer,ca-certificates \
        --essential-hook='mkdir -p "$1/etc/postgresql-common" && echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"' \
        --customize-hook='echo "smartem:x:65532:65532::/nonexistent:/usr/sbin/nologin" >> "$1/etc/passwd"' \
        --customize-hook='echo "smartem:x:65532:" >> "$1/etc/group"' \
        --customize-hook='rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/var/cache/apt "$1"/var/lib/apt/lists' \
        "$suite" "$archive"
    podman import --quiet \
        --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'LABEL io.smartem.e2e=servers' \
        "$archive" "$cache" >/dev/null
fi

for key in influxdb mosquitto pgbouncer postgres; do
    image=$(name "$key")
    [ -n "$image" ] || { echo "e2e-images: deploy/images.toml names no image \`$key\`" >&2; exit 1; }
    podman tag "$cache" "$image"
    case $key in
        influxdb) package=influxdb ;;
        postgres) package=postgresql-15 ;;
        *) package=$key ;;
    esac
    version=$(podman run --rm --network none "$cache" dpkg-query -W -f '${Version}' "$package")
    echo "e2e-images: $image is Debian's $package $version here, NOT the image of that name in a registry"
done

if [ -n "$program" ]; then
    image=$(name smartem)
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    mkdir -p "$stage/root/etc/smartem"
    cp "$program" "$stage/root/smartem"
    printf 'FROM %s\nCOPY root/ /\nUSER 65532:65532\nWORKDIR /etc/smartem\nENTRYPOINT ["/smartem"]\n' "localhost/$cache" >"$stage/Dockerfile"
    podman build --quiet --pull=never --format oci --tag "$image" "$stage" >/dev/null
    echo "e2e-images: $image is $program on Debian, NOT the image that \`make image\` builds"
fi
