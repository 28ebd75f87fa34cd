#!/bin/sh
# Runs once, in the fresh database of db1: a role for the nodes, one for the standby, and whom COMMIT waits for.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set regrant `cat "${SECRETS:-/run/secrets}/regrant-db"`
\set standby `cat "${SECRETS:-/run/secrets}/standby-db"`
CREATE ROLE regrant LOGIN PASSWORD :'regrant';
CREATE ROLE standby LOGIN REPLICATION PASSWORD :'standby';
CREATE DATABASE regrant OWNER regrant;
SELECT pg_create_physical_replication_slot('standby') \g /dev/null
-- Holds from the next start on, which is when the standby can come: until it does, every COMMIT waits.
ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby)';
SQL

printf 'host replication standby all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
