# functions.sh: builds and starts programs. Sourced by up.sh and addons.sh.
# shellcheck shell=bash disable=SC2154 # variables are set in settings.sh

step() { # TITLE COMMAND...
  local started=$SECONDS title=$1
  shift
  "$@"
  echo "cluster: $title, $((SECONDS - started)) s"
}

fail() {
  echo "cluster: $1" >&2
  exit 1
}

build_once() { # NAME TIME SOURCE...: build a program, unless it was built from the same sources before
  local built=$bin/.$1 name=$1 time=$2 sources
  shift 2
  sources=$(cat "$@" | sha256sum)
  [ "$sources" != "$(cat "$built" 2>/dev/null)" ] || return 0
  echo "cluster: building $name ($time on two idle cores; only once)"
  find_go "${minimum_go:-}"
  "build_$name"
  echo "$sources" >"$built"
}

compile() { # PROGRAM PACKAGE [LINKER FLAGS]
  with_cache nice -n 10 go build -trimpath -tags grpcnotrace -ldflags "-s -w ${3:-}" -o "$bin/$1" "$2" >>"$logs/build.log" 2>&1 ||
    fail "building $1 failed: $(tail -n 5 "$logs/build.log")"
}

# Runs a command with Go's caches in $home/cache (several GB), which up.sh and addons.sh delete after their builds.
with_cache() { # COMMAND...
  GOMODCACHE=$home/cache/modules GOCACHE=$home/cache/build GOFLAGS="-buildvcs=false -modcacherw${modfile:+ -modfile=$modfile}" CGO_ENABLED=0 "$@"
}

make_image() { # PROGRAM USER: an image that contains only this static program
  tar -C "$bin" --owner=0 --group=0 -c "$1" |
    docker import --change "ENTRYPOINT [\"/$1\"]" --change "USER $2" - "orders-cluster/$1:1" >/dev/null
}

fill() { # TEMPLATE...: replace each @name@ by the setting's value
  local name script=()
  for name in home state run config pki socket node helper_image pod_bridge pod_network pod_cidr dns_ip \
    kubelet_port kubelet_health_port proxy_metrics_port proxy_health_port; do
    script+=(-e "s|@$name@|${!name}|g")
  done
  sed "${script[@]}" "$@"
}

put() { # FILE: write standard input to the file, only if it differs (kube-proxy exits if its file is touched)
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

start() { # PROGRAM ARGUMENTS...: start it in the background, unless it is running
  ! alive "$1" || return 0
  setsid nohup "$@" >>"$logs/$1.log" 2>&1 </dev/null &
  echo $! >"$run/$1.pid"
}

wait_for() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "timed out waiting for: $* (logs: $logs)"
    sleep 0.2
  done
}
