#!/usr/bin/env bash
# Makes the secrets of a deployment as files: DIR/<secret>/<key>, with random passwords.
#
#   scripts/make-secrets.sh [--owner UID:GID | --any-user] [DIR]
#   scripts/make-secrets.sh --kubectl [--overlay NAME] [DIR]
#
# DIR is deploy/compose/secrets unless named. What is there already is kept, so the script can be run again
# whenever a secret is missing; to change a password, delete its file first (and DIR/mosquitto/passwd or
# DIR/pgbouncer/userlist.txt with it where they hold the same).
#
#   --owner UID:GID  gives the files to that user, as whom the containers run (needs root); mode 0600
#   --any-user       mode 0644, for containers that run as another user than you. The folders stay 0700:
#                    nobody on this machine but you and root gets to the files, and a container only sees
#                    those that it is given
#   --kubectl        prints the commands that make the same Secrets in a cluster, for each row of
#                    deploy/secrets.toml, and makes no files
#   --overlay NAME   only those that this overlay needs
set -euo pipefail
umask 077

cd "$(dirname "$0")/.."
here=$PWD
cd - >/dev/null

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$here/scripts/make-secrets.sh"; }

owner='' mode=0600 kubectl='' overlay='' folder=''
while [ $# -gt 0 ]; do
    case $1 in
    --owner)
        owner=${2:-}
        if [[ ! $owner =~ ^[0-9]+:[0-9]+$ ]]; then
            echo "make-secrets: --owner is \`$owner\`; write numbers, such as --owner 65532:65532" >&2
            exit 64
        fi
        shift
        ;;
    --any-user) mode=0644 ;;
    --kubectl) kubectl=yes ;;
    --overlay)
        overlay=${2:-}
        if [ -z "$overlay" ]; then
            echo "make-secrets: --overlay needs a name, such as --overlay generic" >&2
            exit 64
        fi
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        echo "make-secrets: no option \`$1\`; see --help" >&2
        exit 64
        ;;
    *)
        if [ -n "$folder" ]; then
            echo "make-secrets: \`$folder\` and \`$1\`: name one folder" >&2
            exit 64
        fi
        folder=$1
        ;;
    esac
    shift
done
folder=${folder:-$here/deploy/compose/secrets}
if [ -n "$owner" ] && [ "$mode" = 0644 ]; then
    echo "make-secrets: --owner and --any-user: choose one" >&2
    exit 64
fi
if [ -n "$owner" ] && [ "$(id -u)" -ne 0 ]; then
    echo "make-secrets: --owner gives files away, which only root may; run with sudo, or use --any-user" >&2
    exit 77
fi

# <secret> <key> <how>: `random` is a new password, `=name` a name.
table() {
    cat <<'TABLE'
postgres-admin password random
postgres-owner password random
postgres-writer password random
postgres-api password random
influxdb-admin username =admin
influxdb-admin password random
influxdb-writer username =writer
influxdb-writer password random
influxdb-reader username =reader
influxdb-reader password random
mosquitto-collect password random
mosquitto passwd mosquitto
pgbouncer userlist.txt userlist
grafana-admin username =admin
grafana-admin password random
TABLE
}

# The Secrets of the cluster: <namespace> <secret> <key>... for each row of deploy/secrets.toml.
cluster_secrets() {
    python3 - "$here/deploy/secrets.toml" "$overlay" <<'PYTHON'
import sys, tomllib

with open(sys.argv[1], "rb") as file:
    document = tomllib.load(file)
known = sorted({overlay for secret in document["secret"] for overlay in secret["overlays"]})
wanted = sys.argv[2]
if wanted and wanted not in known:
    sys.exit(f"make-secrets: no overlay `{wanted}` has Secrets; those that have: {', '.join(known)}")
for secret in document["secret"]:
    if wanted and wanted not in secret["overlays"]:
        continue
    namespaces = secret.get("namespaces") or [secret["namespace"]]
    for namespace in namespaces:
        print(namespace, secret["name"], *secret["keys"])
PYTHON
}

if [ -n "$kubectl" ]; then
    if [ ! -r "$here/deploy/secrets.toml" ]; then
        echo "make-secrets: $here/deploy/secrets.toml cannot be read; run this in a checkout of smartem" >&2
        exit 66
    fi
    rows=$(cluster_secrets) || exit 64
    status=0
    while read -r namespace secret keys; do
        arguments='' missing=''
        for key in $keys; do
            file=$folder/$secret/$key
            if [ ! -e "$file" ]; then missing+=" $file"; fi
            arguments+=" --from-file=$(printf '%q' "$key=$file")"
        done
        command="kubectl --namespace $namespace create secret generic $secret$arguments"
        if [ -n "$missing" ]; then
            echo "# missing:$missing; make it, then: $command"
            status=66
        else
            echo "$command"
        fi
    done <<<"$rows"
    exit $status
fi

# 192 random bits, without characters that any quoting could stumble on.
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

value() { cat "$folder/$1/$2"; }

# `user:hash` of each user, for Mosquitto. Passwords go through files and pipes, never on a command line.
mosquitto_passwd_file() {
    if command -v python3 >/dev/null; then
        # shellcheck disable=SC2016
        printf 'collect %s\n' "$(value mosquitto-collect password)" | python3 -c '
import base64, hashlib, os, sys

# As mosquitto_passwd does. More would not make 192 random bits safer, and the broker checks in its one thread.
ITERATIONS = 101
for line in sys.stdin:
    user, password = line.split()
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    text = [base64.b64encode(part).decode() for part in (salt, digest)]
    print(f"{user}:$7${ITERATIONS}${text[0]}${text[1]}")
'
    elif command -v mosquitto_passwd >/dev/null; then
        local file
        file=$(mktemp)
        printf 'collect:%s\n' "$(value mosquitto-collect password)" >"$file"
        mosquitto_passwd -U "$file"
        cat "$file"
        rm -f "$file"
    else
        echo "make-secrets: hashing passwords for Mosquitto needs python3 or mosquitto_passwd;" \
            "install one and run this again" >&2
        return 69
    fi
}

# Passwords as they are: PgBouncer needs them to log in to the server.
userlist() {
    local role
    for role in writer api; do
        printf '"smartem_%s" "%s"\n' "$role" "$(value "postgres-$role" password)"
    done
}

make() {
    case $3 in
    random) random ;;
    =*) printf '%s' "${3#=}" ;;
    mosquitto) mosquitto_passwd_file ;;
    userlist) userlist ;;
    esac
}

mkdir -p "$folder"
chmod 0700 "$folder"
made=0 kept=0
while read -r secret key how; do
    file=$folder/$secret/$key
    mkdir -p "$folder/$secret"
    if [ -e "$file" ]; then
        kept=$((kept + 1))
    else
        # Whole or not at all: an empty password would be kept for ever.
        make "$secret" "$key" "$how" >"$file.new"
        mv "$file.new" "$file"
        made=$((made + 1))
    fi
    chmod "$mode" "$file"
    if [ -n "$owner" ]; then chown "$owner" "$file"; fi
done < <(table)
echo "$folder: $made made, $kept kept"
