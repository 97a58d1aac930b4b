#!/bin/sh
# Starts PostgreSQL as a user without rights, from any image that has it and PostGIS.
#
# The first time it makes the cluster. Each time a server that only listens on a socket makes the roles
# (roles.sql); then it ends, and the real one begins.
set -eu

data=/var/lib/postgresql/data/cluster
config=/etc/smartem-postgres

# Debian keeps the programs of the server out of the way.
for folder in /usr/lib/postgresql/*/bin; do
    if [ -x "$folder/postgres" ]; then PATH="$folder:$PATH"; fi
done
command -v postgres >/dev/null || {
    echo "postgres: no PostgreSQL server in this image; choose another as POSTGRES_IMAGE" >&2
    exit 78
}

password() {
    cat "/run/secrets/postgres-$1/password" || {
        echo "postgres: the secret postgres-$1 cannot be read by user $(id -u);" \
            "run scripts/make-secrets.sh, see its --help for who may read" >&2
        exit 78
    }
}
OWNER_PASSWORD=$(password owner)
WRITER_PASSWORD=$(password writer)
API_PASSWORD=$(password api)
ADMIN_PASSWORD=$(password admin)

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
export OWNER_PASSWORD WRITER_PASSWORD API_PASSWORD ADMIN_PASSWORD
if ! psql --no-psqlrc --quiet --host="$socket" --username=postgres --dbname=postgres --file="$config/roles.sql"; then
    pg_ctl stop --pgdata="$data" --mode=fast --silent
    exit 1
fi
unset OWNER_PASSWORD WRITER_PASSWORD API_PASSWORD ADMIN_PASSWORD
pg_ctl stop --pgdata="$data" --mode=fast --wait --silent

exec postgres -D "$data" \
    -c listen_addresses='*' \
    -c unix_socket_directories=/tmp \
    -c hba_file="$config/pg_hba.conf" \
    -c password_encryption=scram-sha-256
