#!/bin/sh
# Makes the database and its users, and gives them the passwords of the Secrets, at each start.
#
# Only the first administrator can be made without one, so this is done by a server that asks for no password
# and listens in this container only; it has ended before the real one begins.
set -eu

secret() {
    cat "/run/secrets/influxdb-$1/$2" || {
        echo "influxdb: the Secret influxdb-$1 has no key $2 that can be read" >&2
        exit 78
    }
}
# A quote or a backslash within a name or a password.
user() { secret "$1" username | sed 's/[\\"]/\\&/g'; }
password() { secret "$1" password | sed "s/[\\\\']/\\\\&/g"; }

INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8089 INFLUXDB_BIND_ADDRESS=127.0.0.1:8090 \
    INFLUXDB_HTTP_AUTH_ENABLED=false influxd -config /etc/influxdb/influxdb.conf &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
trap 'exit 143' INT TERM

ask() { influx -host 127.0.0.1 -port 8089 "$@"; }
tries=0
until echo 'SHOW DATABASES' | ask >/dev/null 2>&1; do
    tries=$((tries + 1))
    if ! kill -0 "$server" 2>/dev/null || [ "$tries" -gt 600 ]; then
        echo "influxdb: the server does not come up; its messages are above" >&2
        exit 1
    fi
    sleep 1
done

# Through a pipe, so that no password is on a command line.
known=" $(echo 'SHOW USERS' | ask -format csv | sed -n '2,$s/,.*//p' | tr '\n' ' ') "
statements() {
    # Not echo, which has its own idea of a backslash.
    printf 'CREATE DATABASE "%s";\n' "$DATABASE"
    for role in admin writer reader; do
        user=$(user "$role")
        password=$(password "$role")
        case "$known" in
        *" $user "*) printf "SET PASSWORD FOR \"%s\" = '%s';\n" "$user" "$password" ;;
        *) printf "CREATE USER \"%s\" WITH PASSWORD '%s';\n" "$user" "$password" ;;
        esac
    done
    printf 'GRANT ALL PRIVILEGES TO "%s";\n' "$(user admin)"
    printf 'GRANT WRITE ON "%s" TO "%s";\n' "$DATABASE" "$(user writer)"
    printf 'GRANT READ ON "%s" TO "%s"\n' "$DATABASE" "$(user reader)"
}
# What is told here may repeat a statement, and with it a password.
if ! statements | ask >/dev/null 2>&1; then
    echo "influxdb: database or users could not be made; look for line ends in the keys of the Secrets" >&2
    exit 1
fi

kill "$server"
wait "$server" || true
trap - EXIT INT TERM
