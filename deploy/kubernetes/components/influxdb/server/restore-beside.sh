#!/bin/sh
# Restores the files of a backup under another name, after what an earlier rehearsal left.
set -eu
/bin/sh /etc/influxdb/drop.sh
exec influxd restore -portable -host influxdb:8088 -db "$DATABASE" -newdb "${DATABASE}_rehearsal" /scratch/now
