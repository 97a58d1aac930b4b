#!/bin/sh
# Drops the database that a rehearsal restored beside.
set -eu
INFLUX_USERNAME=$(cat /run/secrets/influxdb-admin/username)
INFLUX_PASSWORD=$(cat /run/secrets/influxdb-admin/password)
export INFLUX_USERNAME INFLUX_PASSWORD
influx -host influxdb -port 8086 -execute "DROP DATABASE \"${DATABASE}_rehearsal\""
