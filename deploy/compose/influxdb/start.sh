#!/bin/sh
# Makes database and users, then starts InfluxDB. Run at each start, so that a new password of a secret file
# holds after a restart.
#
# Users can be made by nobody but the first administrator, so this is done by a server without passwords that
# only listens in this container, and is gone before the real one begins.
set -eu

secret() {
    cat "/run/secrets/influxdb-$1/$2" || {
        echo "influxdb: the secret influxdb-$1 cannot be read by user $(id -u);" \
            "run scripts/make-secrets.sh, see its --help for who may read" >&2
        exit 78
    }
}
# A quote or backslash within a name or a password.
name() { secret "$1" username | sed 's/[\\"]/\\&/g'; }
password() { secret "$1" password | sed "s/[\\\\']/\\\\&/g"; }

INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8089 INFLUXDB_BIND_ADDRESS=127.0.0.1:8090 \
    INFLUXDB_HTTP_AUTH_ENABLED=false influxd -config /etc/influxdb/influxdb.conf &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
trap 'exit 143' INT TERM

ask() { influx -host 127.0.0.1 -port 8089; }
tries=0
until echo 'SHOW DATABASES' | ask >/dev/null 2>&1; do
    tries=$((tries + 1))
    if ! kill -0 "$server" 2>/dev/null || [ "$tries" -gt 600 ]; then
        echo "influxdb: the server does not come up; its messages are above" >&2
        exit 1
    fi
    sleep 1
done

# Statements go through a pipe, so that no password is on a command line. `CREATE USER` of one who is there
# is only right with the same password; `SET PASSWORD` makes it the one of the file.
statements() {
    echo "CREATE DATABASE \"${INFLUXDB_DATABASE:-smartemission}\""
    for role in admin writer reader; do
        user=$(name "$role")
        secret=$(password "$role")
        case "$known" in
        *" $user "*) echo "SET PASSWORD FOR \"$user\" = '$secret'" ;;
        *) echo "CREATE USER \"$user\" WITH PASSWORD '$secret'" ;;
        esac
    done
    echo "GRANT ALL PRIVILEGES TO \"$(name admin)\""
    echo "GRANT WRITE ON \"${INFLUXDB_DATABASE:-smartemission}\" TO \"$(name writer)\""
    echo "GRANT READ ON \"${INFLUXDB_DATABASE:-smartemission}\" TO \"$(name reader)\""
}
known=" $(echo 'SHOW USERS' | ask | sed -n '3,$s/^\([^ ]*\) .*/\1/p' | tr '\n' ' ') "
answer=$(statements | ask 2>&1)
case "$answer" in
*ERR* | *rror*)
    # The answer may repeat a statement, and with it a password.
    echo "influxdb: database or users could not be made; look for quotes in the secret files" >&2
    exit 1
    ;;
esac

kill "$server"
wait "$server" || true
trap - EXIT INT TERM
exec influxd -config /etc/influxdb/influxdb.conf
