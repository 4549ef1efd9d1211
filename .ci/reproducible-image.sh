#!/usr/bin/env bash
# .ci/reproducible-image.sh: build the image twice without a cache, and require the same layers. Takes about 4 minutes.
# BuildKit in a container also gives both the same id (SOURCE_DATE_EPOCH); the builders inside Docker store the time of the build.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'docker image rm --force orders:first orders:second >/dev/null 2>&1 || true' EXIT

main() {
  build first
  build second
  diff <(layers first) <(layers second) || fail "two builds of the image have different layers"
  [ "$(id first)" = "$(id second)" ] || echo "image: same layers, but another id: the builder stores the time of the build"
  echo "image: two builds have the same $(layers first | wc -l) layers"
}

build() { # TAG
  make image IMAGE="orders:$1" OPTIONS=--no-cache >/dev/null
}

layers() { # TAG
  docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "orders:$1" | grep .
}

id() { # TAG
  docker image inspect --format '{{.Id}}' "orders:$1"
}

fail() {
  echo "image: $1" >&2
  exit 1
}

main
