#!/bin/sh
# Starts PostgreSQL. SIGTERM would wait until every connection has gone; SIGINT ends them in order.
set -eu
for folder in /usr/lib/postgresql/*/bin; do
    if [ -x "$folder/postgres" ]; then PATH="$folder:$PATH"; fi
done
postgres -D /var/lib/postgresql/data/cluster \
    -c listen_addresses='*' \
    -c unix_socket_directories=/tmp \
    -c hba_file=/etc/smartem-postgres/pg_hba.conf \
    -c password_encryption=scram-sha-256 &
server=$!
trap 'kill -INT "$server"' INT TERM
status=0
wait "$server" || status=$?
# The first wait ends with the signal, the second with the server.
if kill -0 "$server" 2>/dev/null; then
    status=0
    wait "$server" || status=$?
fi
exit $status
