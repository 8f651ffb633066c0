#!/bin/sh
# Draws the secrets that the compose files mount; those that are there stay. The containers read them under other user ids
# than yours: the files are readable, the folder that they lie in is not.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
draw() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
if [ ! -e secrets/api-keys ]; then
  app=$(draw) admin=$(draw) metrics=$(draw)
  printf '%s' "$app" >secrets/app-key
  printf '%s' "$admin" >secrets/admin-key
  printf '%s' "$metrics" >secrets/metrics-key
  printf '%s:recommend+write,%s:admin,%s:metrics\n' "$app" "$admin" "$metrics" >secrets/api-keys
fi
[ -e secrets/grafana-password ] || draw >secrets/grafana-password
if [ ! -e secrets/postgres-password ]; then
  password=$(draw)
  printf '%s' "$password" >secrets/postgres-password
  printf 'postgres://reelfuse:%s@postgres:5432/reelfuse\n' "$password" >secrets/database-url
fi
chmod 644 secrets/*
echo "ops/secrets: app-key (recommend, write), admin-key, metrics-key, grafana-password, postgres-password, database-url"
