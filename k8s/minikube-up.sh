#!/usr/bin/env bash
# minikube-up.sh: the same as kind-up.sh, on minikube with its Docker driver. The image is loaded into the node, without a registry.
set -euo pipefail
cd "$(dirname "$0")/.."
source k8s/evaluation/common.sh

programs=(docker minikube kubectl helm make)
context=orders # also the name of the profile

up() {
  local tag
  step "image" build_image
  tag=$(docker image inspect --format '{{.Id}}' "orders:$version" | cut -c 8-19)
  step "cluster" minikube start --profile "$context" --driver docker --memory 6g --ports "$(ports)"
  step "image to the cluster" load_image "orders:$tag"
  step "Prometheus and Grafana" install_monitoring
  step "Orders" install_orders --set "image.tag=$tag"
}

ports() {
  local each
  for each in 30080 30030 30090; do echo "127.0.0.1:$each:$each"; done | paste -sd ,
}

# The tag is new for each new image, so that the pods are replaced.
load_image() { # IMAGE
  docker tag "orders:$version" "$1"
  minikube --profile "$context" image load "$1"
}

down() {
  minikube delete --profile "$context"
}

main "$@"
