#!/usr/bin/env bash
# e2e.sh IMAGE [PYTEST ARGUMENTS]: builds the image and tests the chart with it, in new namespaces.
# Uses the cluster of KUBECONFIG if it is set; otherwise kind, if it is installed; otherwise a cluster that tests/cluster/kubernetes
# starts on this machine, and stops at the end unless it was running before. That needs root and Debian; everything else is installed.
# With ORDERS_KUBERNETES=1.37, it starts a cluster of this version (go-1.37.mod) even if kind is installed.
# Variables for tests marked `nightly`: with ORDERS_CLUSTER_ADDONS=yes, the cluster of this machine gets the add-ons of addons.sh; with
# ORDERS_PREVIOUS_COMMIT=COMMIT, image and chart of this commit are the release from which upgrades start.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/machine.sh

image=$1
shift
servers=(apache/kafka:4.3.1 postgres:17) # the chart's images
previous=orders:previous                 # the image of ORDERS_PREVIOUS_COMMIT
started=                                 # not empty if this script started the cluster

main() {
  trap clean_up EXIT
  case $(choose_cluster) in
    given) use_given_cluster ;;
    kind) use_kind ;;
    own) use_own_cluster ;;
  esac
  [ -z "${ORDERS_PREVIOUS_COMMIT:-}" ] || unpack_previous_chart
  command -v helm >/dev/null || PATH=$(.ci/tools.sh | tail -n 1):$PATH
  ORDERS_TEST_CLUSTER=1 .venv/bin/pytest tests/cluster "$@"
}

choose_cluster() {
  if [ -n "${KUBECONFIG:-}" ]; then
    echo given
  elif [ -z "${ORDERS_KUBERNETES:-}" ] && command -v kind >/dev/null; then
    echo kind
  else
    echo own
  fi
}

use_given_cluster() {
  local context
  kubectl get --raw /readyz >/dev/null || fail "cannot reach the cluster of KUBECONFIG"
  context=$(kubectl config current-context)
  echo "e2e: using $context, the cluster of KUBECONFIG"
  case $context in
    kind-*) build_images; kind load docker-image "${images[@]}" --name "${context#kind-}" ;;
    minikube) build_images; minikube image load "${images[@]}" ;;
    *) echo "e2e: this cluster must be able to pull $image" ;;
  esac
}

use_kind() {
  build_images
  kind get clusters | grep -qx orders || kind create cluster --name orders --config k8s/kind.yaml --wait 2m
  kind load docker-image "${images[@]}" --name orders
  kubectl config use-context kind-orders
}

use_own_cluster() {
  [ "$EUID" = 0 ] || fail "no cluster: set KUBECONFIG, install kind, or run this as root, which starts a cluster"
  packages dockerd:docker.io
  start_engine
  provide_base_images
  build_images
  source tests/cluster/kubernetes/settings.sh
  alive kubelet || started=yes
  tests/cluster/kubernetes/up.sh
  [ "${ORDERS_CLUSTER_ADDONS:-}" != yes ] || tests/cluster/kubernetes/addons.sh
  tests/cluster/kubernetes/load.sh "${images[@]}" "${servers[@]}"
}

# Pulls the base images, or builds them if no registry is reachable.
provide_base_images() {
  local each
  for each in python:3.11-slim-bookworm debian:bookworm-slim "${servers[@]}"; do
    docker image inspect "$each" >/dev/null 2>&1 || docker pull -q "$each" 2>/dev/null || break
  done
  docker image inspect "$each" >/dev/null 2>&1 || build_base_images
}

build_base_images() {
  packages debootstrap:debootstrap mvn:maven unzip:unzip xz:xz-utils
  .ci/images.sh
}

images=() # of Orders

build_images() {
  make image
  images=("$image")
  [ -n "${ORDERS_PREVIOUS_COMMIT:-}" ] || return 0
  git archive "$ORDERS_PREVIOUS_COMMIT" | docker build --quiet --tag "$previous" - >/dev/null
  images+=("$previous")
}

unpack_previous_chart() {
  rm -rf .reports/previous
  mkdir -p .reports/previous
  git archive "$ORDERS_PREVIOUS_COMMIT" chart | tar -x -C .reports/previous
  export ORDERS_PREVIOUS_CHART=$PWD/.reports/previous/chart ORDERS_PREVIOUS_IMAGE=$previous
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
