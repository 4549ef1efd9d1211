#!/usr/bin/env bash
# addons.sh [NAME...]: installs into the cluster that up.sh started what the tests marked `nightly` need: metrics-server, KEDA, Traefik
# with the Gateway API, and kube-router, which enforces network policies. Each is built from the module that optional/NAME/module pins;
# only ipset is a Debian package. Can be repeated. down.sh stops it; its --purge also deletes it.
#
# `addons.sh programs [NAME...]` only builds the programs.
#
# Installs Go if it is missing. The first run takes about 20 minutes on two cores and temporarily 6 GB of disk; later ones a minute.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "$0")"
source ./settings.sh
source ./functions.sh
source ../../../.ci/machine.sh

minimum_go=1.26 # for functions.sh
manifests=$bin/manifests

main() {
  local only= each
  [ "$EUID" = 0 ] || fail "must run as root"
  [ "${1:-}" != programs ] || { only=programs && shift; }
  (($#)) || set -- kube-router metrics-server keda traefik
  mkdir -p "$bin" "$logs"
  step "programs of $*" build "$@"
  [ -z "$only" ] || return 0
  alive kubelet || fail "the cluster is not running: run up.sh"
  for each; do step "$each" "install_$each"; done
}

# --- programs

build() { # ADD-ON...
  local each
  for each; do build_once "$each" "${minutes[$each]} minutes" "optional/$each/module" $(compgen -G "optional/$each/*.go" || true); done
  rm -rf "$home/cache"
}

declare -A minutes=([kube-router]=3 [metrics-server]=4 [keda]=10 [traefik]=6)

build_metrics-server() (
  enter metrics-server
  compile metrics-server ./cmd/metrics-server
  keep_manifests metrics-server manifests
)

build_kube-router() (
  enter kube-router
  compile kube-router ./cmd/kube-router
)

build_keda() (
  enter keda
  compile keda ./cmd/operator
  compile keda-adapter ./cmd/adapter
  keep_manifests keda config
)

# A copy of Traefik, in which a copy of its ACME library has no DNS providers.
build_traefik() (
  local stub=$PWD/optional/traefik/dns.go library=github.com/go-acme/lego/v4
  enter traefik
  copy . "$home/cache/traefik"
  copy "$(folder_of "$library")" "$home/cache/lego"
  cd "$home/cache/traefik"
  cp "$stub" "$home/cache/lego/providers/dns/zz_gen_dns_providers.go"
  go mod edit -replace "$library=$home/cache/lego"
  compile traefik ./cmd/traefik
  cd "$(folder_of sigs.k8s.io/gateway-api)"
  keep_manifests traefik config/crd
)

enter() { # ADD-ON: download its module and enter the folder
  local folder
  folder=$(with_cache go mod download -json "$(cat "optional/$1/module")" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cd "$folder"
}

folder_of() { # MODULE: the folder of a dependency of the module in this folder
  with_cache go mod download "$1" && with_cache go list -m -f '{{.Dir}}' "$1"
}

copy() { # FOLDER TARGET
  rm -rf "$2"
  cp -r --no-preserve=mode "$1" "$2"
}

keep_manifests() { # ADD-ON FOLDER: keep the folder of this module for the add-on's kustomization
  mkdir -p "$manifests/$1"
  copy "$2" "$manifests/$1/module"
}

# --- installation

install_metrics-server() {
  load metrics-server
  apply metrics-server kube-system metrics-server
  wait_for 120 kubectl get --raw /apis/metrics.k8s.io/v1beta1/nodes
}

install_keda() {
  load keda keda-adapter
  apply keda keda keda-operator keda-metrics-apiserver
  wait_for 120 kubectl get --raw /apis/external.metrics.k8s.io/v1beta1
}

install_traefik() {
  load traefik
  apply traefik traefik traefik
}

install_kube-router() {
  packages ipset:ipset
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 || fail "network policies need the kernel module br_netfilter"
  start kube-router --kubeconfig="$KUBECONFIG" --hostname-override="$node" --run-firewall=true --run-router=false \
    --run-service-proxy=false --enable-cni=false --service-cluster-ip-range="$service_cidr" --health-port=0
  wait_for 60 iptables --numeric --list KUBE-ROUTER-FORWARD
}

# Loads the images of the current build. $state/programs has the checksums of those that are loaded; down.sh --purge deletes both.
load() { # PROGRAM...
  local each built
  mkdir -p "$state/programs"
  for each; do
    built=$(sha256sum "$bin/$each")
    [ "$built" != "$(cat "$state/programs/$each" 2>/dev/null)" ] || continue
    make_image "$each" 65532:65532
    ./load.sh "orders-cluster/$each:1" >/dev/null
    echo "$built" >"$state/programs/$each"
  done
}

apply() { # ADD-ON NAMESPACE DEPLOYMENT...
  local namespace=$2 each
  cp optional/"$1"/*.yaml "$manifests/$1/"
  kubectl apply --server-side --force-conflicts --kustomize "$manifests/$1" >/dev/null
  for each in "${@:3}"; do kubectl --namespace "$namespace" rollout status "deployment/$each" --timeout=180s >/dev/null; done
}

main "$@"
