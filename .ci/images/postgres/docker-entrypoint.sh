#!/bin/bash
# Supports these variables of the official image: POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB (each also as _FILE),
# POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD and PGDATA; and any user id.
set -e

from_file() { # VARIABLE: set it from the file in VARIABLE_FILE
  local file=$1_FILE
  [ -z "${!file:-}" ] || export "$1=$(<"${!file}")"
}

# initdb requires that its user id has a name.
named() { # COMMAND...
  if getent passwd "$(id -u)" >/dev/null; then
    "$@"
    return
  fi
  local work
  work=$(mktemp -d)
  echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$work/passwd"
  echo "postgres:x:$(id -g):" >"$work/group"
  LD_PRELOAD=$(echo /usr/lib/*/libnss_wrapper.so) NSS_WRAPPER_PASSWD=$work/passwd NSS_WRAPPER_GROUP=$work/group "$@"
  rm -r "$work"
}

initialize() {
  local auth=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$auth" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    exit 1
  fi
  # The arguments must be split into words.
  # shellcheck disable=SC2086
  named initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") $POSTGRES_INITDB_ARGS
  echo "host all all all $auth" >>"$PGDATA/pg_hba.conf"
  printf '%s\n' "listen_addresses = '*'" "unix_socket_directories = '/var/run/postgresql'" >>"$PGDATA/postgresql.conf"
  pg_ctl -o "-c listen_addresses=''" -w start
  [ "$POSTGRES_DB" = postgres ] || createdb --username "$POSTGRES_USER" --maintenance-db postgres "$POSTGRES_DB"
  pg_ctl -m fast -w stop
  echo 'PostgreSQL init process complete; ready for start up.'
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  chown -R postgres: "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
for variable in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB; do from_file $variable; done
export POSTGRES_USER=${POSTGRES_USER:-postgres}
export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
[ -s "$PGDATA/PG_VERSION" ] || initialize
exec "$@"
