#!/usr/bin/env bash
# kind-up.sh: starts Orders with Kafka, PostgreSQL, Prometheus and Grafana on a kind cluster on this machine, and prints the addresses.
# Can be repeated: it creates what is missing, and deploys a changed image or chart. `kind-up.sh down` deletes everything.
# Needs Docker with 6 GB of memory, kind 0.27 or later, kubectl, Helm, make, and access to the registries of the images.
set -euo pipefail
cd "$(dirname "$0")/.."
source k8s/evaluation/common.sh

programs=(docker kind kubectl helm make)
context=kind-orders
registry=orders-registry # name of the container
host=localhost:5001      # its address on this machine; also part of the image's name in the cluster

up() {
  require_kind 0.27.0
  step "image" build_image
  step "cluster" create_cluster
  step "registry" start_registry
  step "image to the registry" push_image
  step "Prometheus and Grafana" install_monitoring
  step "Orders" install_orders --set "image.repository=$host/orders" --set "image.digest=$(digest)"
}

# Since this version, the containerd of the nodes reads /etc/containerd/certs.d.
require_kind() { # VERSION
  local found
  found=$(kind version -q)
  printf '%s\n' "$1" "${found#v}" | sort --check=quiet --version-sort || fail "kind $found is too old: install $1 or later"
}

create_cluster() {
  has_cluster || kind create cluster --config k8s/kind.yaml --wait 2m
}

has_cluster() {
  kind get clusters 2>/dev/null | grep -qx orders
}

# The nodes reach the registry by the name of its container, under the name that it has on this machine.
start_registry() {
  local node folder=/etc/containerd/certs.d/$host
  has_registry || docker run --detach --restart always --publish "127.0.0.1:${host##*:}:5000" --name "$registry" registry:3 >/dev/null
  docker start "$registry" >/dev/null
  docker network inspect kind --format '{{range .Containers}}{{println .Name}}{{end}}' | grep -qx "$registry" ||
    docker network connect kind "$registry"
  for node in $(kind get nodes --name orders); do
    docker exec "$node" mkdir -p "$folder"
    docker exec --interactive "$node" cp /dev/stdin "$folder/hosts.toml" <<<"[host.\"http://$registry:5000\"]"
  done
}

has_registry() {
  docker container inspect "$registry" >/dev/null 2>&1
}

push_image() {
  docker tag "orders:$version" "$host/orders:$version"
  docker push --quiet "$host/orders:$version"
}

digest() {
  docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$host/orders:$version" | sed -n "s|^$host/orders@||p"
}

down() {
  ! has_cluster || kind delete cluster --name orders
  ! has_registry || docker rm --force --volumes "$registry" >/dev/null
}

main "$@"
