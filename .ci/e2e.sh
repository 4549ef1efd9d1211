#!/usr/bin/env bash
# e2e.sh IMAGE [PYTEST ARGUMENTS]: builds the image and tests the chart with it, in new namespaces.
# Uses the cluster of KUBECONFIG if it is set; otherwise kind, if it is installed; otherwise a cluster that tests/cluster/kubernetes
# starts on this machine, and stops at the end unless it was running before. That needs root and Debian; everything else is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/machine.sh

image=$1
shift
servers=(apache/kafka:4.3.1 postgres:17) # the chart's images
started=                                 # not empty if this script started the cluster

main() {
  trap clean_up EXIT
  case $(choose_cluster) in
    given) use_given_cluster ;;
    kind) use_kind ;;
    own) use_own_cluster ;;
  esac
  command -v helm >/dev/null || PATH=$(.ci/tools.sh | tail -n 1):$PATH
  ORDERS_TEST_CLUSTER=1 .venv/bin/pytest tests/cluster "$@"
}

choose_cluster() {
  if [ -n "${KUBECONFIG:-}" ]; then echo given; elif command -v kind >/dev/null; then echo kind; else echo own; fi
}

use_given_cluster() {
  local context
  kubectl get --raw /readyz >/dev/null || fail "cannot reach the cluster of KUBECONFIG"
  context=$(kubectl config current-context)
  echo "e2e: using $context, the cluster of KUBECONFIG"
  case $context in
    kind-*) make image && kind load docker-image "$image" --name "${context#kind-}" ;;
    minikube) make image && minikube image load "$image" ;;
    *) echo "e2e: this cluster must be able to pull $image" ;;
  esac
}

use_kind() {
  make image
  kind get clusters | grep -qx orders || kind create cluster --name orders --config k8s/kind.yaml --wait 2m
  kind load docker-image "$image" --name orders
  kubectl config use-context kind-orders
}

use_own_cluster() {
  [ "$EUID" = 0 ] || fail "no cluster: set KUBECONFIG, install kind, or run this as root, which starts a cluster"
  packages dockerd:docker.io
  start_engine
  provide_images
  make image
  source tests/cluster/kubernetes/settings.sh
  alive kubelet || started=yes
  tests/cluster/kubernetes/up.sh
  tests/cluster/kubernetes/load.sh "$image" "${servers[@]}"
}

# Pulls the base images, or builds them if no registry is reachable.
provide_images() {
  local each
  for each in python:3.11-slim-bookworm debian:bookworm-slim "${servers[@]}"; do
    docker image inspect "$each" >/dev/null 2>&1 || docker pull -q "$each" 2>/dev/null || break
  done
  docker image inspect "$each" >/dev/null 2>&1 || build_images
}

build_images() {
  packages debootstrap:debootstrap mvn:maven unzip:unzip xz:xz-utils
  .ci/images.sh
}

fail() {
  echo "e2e: $1" >&2
  exit 2
}

clean_up() {
  [ -z "$started" ] || tests/cluster/kubernetes/down.sh
  stop_engine
}

main "$@"
