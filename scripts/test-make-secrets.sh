#!/usr/bin/env bash
# Tests scripts/make-secrets.sh: modes, nothing overwritten, nothing half made, hashes that Mosquitto takes,
# and that every row of deploy/secrets.toml is made. Says the first fault and ends with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
broker=''
trap '[ -z "$broker" ] || kill "$broker"; rm -rf "$folder"' EXIT
fail() {
    echo "test-make-secrets: $*" >&2
    exit 1
}
made=$folder/made

scripts/make-secrets.sh "$made" >/dev/null
others=$(find "$made" \( -type f ! -perm 0600 \) -o \( -type d ! -perm 0700 \))
[ -z "$others" ] || fail "others than the owner get to: $others"
empty=$(find "$made" -type f -empty)
[ -z "$empty" ] || fail "empty: $empty"
passwords=$(cat "$made"/*/password | wc -c)
different=$(for file in "$made"/*/password; do cat "$file"; echo; done | sort -u | wc -l)
count=$(find "$made" -name password | wc -l)
[ "$different $passwords" = "$count $((count * 48))" ] || fail "passwords are not $count different ones of 48 characters"

# Once more: nothing changes.
sums() { (cd "$made" && find . -type f -exec sha256sum {} + | sort -k 2); }
before=$(sums)
scripts/make-secrets.sh "$made" >/dev/null
[ "$before" = "$(sums)" ] || fail "a second run changed something"

# What is missing is made, and only that.
rm "$made/influxdb-reader/password"
scripts/make-secrets.sh "$made" | grep -q ' 1 made' || fail "a missing file was not made"
[ "$(sums | grep -v influxdb-reader/password)" = "$(grep -v influxdb-reader/password <<<"$before")" ] ||
    fail "making one file changed others"

grep -qF "\"smartem_writer\" \"$(cat "$made/postgres-writer/password")\"" "$made/pgbouncer/userlist.txt" ||
    fail "userlist.txt has not the password of smartem_writer"

# Modes for containers of another user.
scripts/make-secrets.sh --any-user "$made" >/dev/null
[ "$(stat -c %a "$made/postgres-api/password")" = 644 ] || fail "--any-user leaves mode 0600"
[ "$(stat -c %a "$made/postgres-api")" = 700 ] || fail "--any-user opens the folder"
if [ "$(id -u)" -eq 0 ]; then
    scripts/make-secrets.sh --owner 65532:65532 "$made" >/dev/null
    [ "$(stat -c '%a %u %g' "$made/postgres-api/password")" = '600 65532 65532' ] || fail "--owner does not give away"
fi

# Every Secret of the cluster is made, and nothing is printed for one that is not.
commands=$(scripts/make-secrets.sh --kubectl "$made") || fail "a row of deploy/secrets.toml is not made: $commands"
rows=$(grep -c '^\[\[secret\]\]' deploy/secrets.toml)
[ "$(cut -d' ' -f7 <<<"$commands" | sort -u | wc -l)" -eq "$rows" ] || fail "--kubectl prints not all $rows Secrets"
rm "$made/grafana-admin/password"
status=0
scripts/make-secrets.sh --kubectl "$made" >"$folder/commands" || status=$?
[ "$status" -eq 66 ] || fail "--kubectl does not tell of a missing file (status $status)"
grep -v '^#' "$folder/commands" | grep -q grafana-admin && fail "--kubectl makes a Secret of a missing file"

# A real broker takes the hash, and refuses another password.
if command -v mosquitto >/dev/null && command -v mosquitto_pub >/dev/null; then
    port=$((20000 + RANDOM % 10000))
    chmod 0644 "$made/mosquitto/passwd"
    cp "$made/mosquitto/passwd" "$folder/passwd"
    chmod 0755 "$folder"
    printf 'listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\n' "$port" "$folder/passwd" >"$folder/conf"
    mosquitto -c "$folder/conf" >"$folder/log" 2>&1 &
    broker=$!
    for _ in $(seq 50); do
        if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
        sleep 0.1
    done
    publish() { mosquitto_pub -h 127.0.0.1 -p "$port" -u collect -P "$1" -t a -m b >/dev/null 2>&1; }
    publish "$(cat "$made/mosquitto-collect/password")" || fail "the broker refuses the password: $(cat "$folder/log")"
    if publish another; then fail "the broker takes any password"; fi
else
    echo "SKIPPED: the hash was not shown to a broker; install mosquitto and mosquitto-clients"
fi
echo "make-secrets: all right"
