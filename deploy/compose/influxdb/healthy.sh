#!/bin/sh
# Whether InfluxDB answers its administrator.
set -eu
INFLUX_USERNAME=$(cat /run/secrets/influxdb-admin/username)
INFLUX_PASSWORD=$(cat /run/secrets/influxdb-admin/password)
export INFLUX_USERNAME INFLUX_PASSWORD
influx -host 127.0.0.1 -execute 'SHOW DATABASES' >/dev/null
