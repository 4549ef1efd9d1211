#!/usr/bin/env bash
# e2e.sh IMAGE [PYTEST ARGUMENTS]: builds the image and tests the chart with it, in namespaces of its own.
# The cluster is KUBECONFIG's where that is set; else kind's, where there is kind; else one that .ci/cluster makes on this machine
# and that is stopped at the end, unless it ran before. That one needs root on Debian; the rest it installs.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/machine.sh

image=$1
shift
servers=(apache/kafka:4.3.1 postgres:17) # of the chart
ours=                                    # set where the cluster was started here

main() {
  trap clean_up EXIT
  case $(kind_of_cluster) in
    given) given_cluster ;;
    kind) kind_cluster ;;
    own) own_cluster ;;
  esac
  command -v helm >/dev/null || PATH=$(.ci/tools.sh | tail -n 1):$PATH
  ORDERS_TEST_CLUSTER=1 .venv/bin/pytest tests/cluster "$@"
}

kind_of_cluster() {
  if [ -n "${KUBECONFIG:-}" ]; then echo given; elif command -v kind >/dev/null; then echo kind; else echo own; fi
}

given_cluster() {
  local context
  kubectl get --raw /readyz >/dev/null || give_up "the cluster of KUBECONFIG does not answer"
  context=$(kubectl config current-context)
  echo "e2e: on $context, the cluster of KUBECONFIG"
  case $context in
    kind-*) make image && kind load docker-image "$image" --name "${context#kind-}" ;;
    minikube) make image && minikube image load "$image" ;;
    *) echo "e2e: this cluster must be able to pull $image" ;;
  esac
}

kind_cluster() {
  make image
  kind get clusters | grep -qx orders || kind create cluster --name orders --config k8s/kind.yaml --wait 2m
  kind load docker-image "$image" --name orders
  kubectl config use-context kind-orders
}

own_cluster() {
  [ "$EUID" = 0 ] || give_up "there is no cluster: set KUBECONFIG, install kind, or run this as root, which makes one"
  packages dockerd:docker.io
  start_engine
  images
  make image
  source .ci/cluster/settings.sh
  alive kubelet || ours=yes
  .ci/cluster/up.sh
  .ci/cluster/load.sh "$image" "${servers[@]}"
}

# What no registry gives is made.
images() {
  local each
  for each in python:3.11-slim-bookworm debian:bookworm-slim "${servers[@]}"; do
    docker image inspect "$each" >/dev/null 2>&1 || docker pull -q "$each" 2>/dev/null || break
  done
  docker image inspect "$each" >/dev/null 2>&1 || make_images
}

make_images() {
  packages debootstrap:debootstrap mvn:maven unzip:unzip xz:xz-utils
  .ci/images.sh
}

give_up() {
  echo "e2e: $1" >&2
  exit 2
}

clean_up() {
  [ -z "$ours" ] || .ci/cluster/down.sh
  stop_engine
}

main "$@"
