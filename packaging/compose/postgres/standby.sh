#!/bin/sh
# Starts db2: at the first start it copies the primary; from then on it follows it, under the name that COMMIT waits for.
set -eu
umask 077

pass=${PGPASS_FILE:-/var/lib/postgresql/standby.pgpass}
printf '*:*:*:standby:%s\n' "$(cat "${SECRETS:-/run/secrets}/standby-db")" >"$pass"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    until pg_basebackup --pgdata "$PGDATA" --wal-method stream --checkpoint fast --slot standby --write-recovery-conf \
        --dbname "host=$PRIMARY port=${PRIMARY_PORT:-5432} user=standby application_name=standby passfile=$pass"; do
        echo "the primary cannot be copied yet" >&2
        sleep 2
        find "$PGDATA" -mindepth 1 -delete
    done
fi
exec postgres -c "config_file=${CONFIG:-/etc/postgresql/postgresql.conf}" "$@"
