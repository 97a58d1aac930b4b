#!/bin/sh
# Makes the database cluster where there is none, and roles, passwords and database at each start, so that a
# new password of a Secret holds after a restart. The server that does it listens on a socket only.
set -eu

data=/var/lib/postgresql/data/cluster
config=/etc/smartem-postgres

# Debian keeps the programs of the server out of the way.
for folder in /usr/lib/postgresql/*/bin; do
    if [ -x "$folder/postgres" ]; then PATH="$folder:$PATH"; fi
done
command -v initdb >/dev/null || {
    echo "postgres: no PostgreSQL server in this image; name another for \`postgres\` in deploy/images.toml" >&2
    exit 78
}

password() {
    cat "/run/secrets/postgres-$1/password" || {
        echo "postgres: the Secret postgres-$1 has no key password that can be read" >&2
        exit 78
    }
}
ADMIN_PASSWORD=$(password admin)
OWNER_PASSWORD=$(password owner)
WRITER_PASSWORD=$(password writer)
API_PASSWORD=$(password api)

if [ ! -s "$data/PG_VERSION" ]; then
    # A start that was cut off leaves half a cluster, in which nothing is yet.
    rm -rf "$data.new"
    initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
        --data-checksums --auth=trust
    mv "$data.new" "$data"
fi

socket=/tmp/roles
mkdir -p "$socket"
pg_ctl start --pgdata="$data" --wait --silent \
    --options="-c listen_addresses= -c unix_socket_directories=$socket -c hba_file=$config/pg_hba.conf"
export ADMIN_PASSWORD OWNER_PASSWORD WRITER_PASSWORD API_PASSWORD
status=0
psql --no-psqlrc --quiet --host="$socket" --username=postgres --dbname=postgres --file="$config/roles.sql" ||
    status=1
pg_ctl stop --pgdata="$data" --mode=fast --wait --silent
exit $status
