#!/usr/bin/env bash
# up.sh: starts a single-node Kubernetes cluster on this machine, for tests without another cluster or an image registry.
# Kubernetes, etcd, CoreDNS, the storage provisioner and the Prometheus Operator are built from Go modules; containerd and runc are
# Debian packages. Network policies are enforced only after addons.sh. Can be repeated: it starts what is not running. down.sh stops it.
#
# `up.sh programs` only builds the programs.
#
# Needs root, Debian and a running Docker; installs Go if it is missing. The first run takes about 11 minutes on two cores and
# temporarily 7 GB of disk; later ones at most half a minute, or 2 s if the cluster is running.
# All files are in ORDERS_CLUSTER_HOME, by default a folder in the user's cache. ORDERS_KUBERNETES=1.37 builds and starts another version of
# Kubernetes (from go-1.37.mod) with files of its own.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
cd "$(dirname "$0")"
source ./settings.sh
source ./functions.sh
source ./certificates.sh
source ../../../.ci/machine.sh

main() {
  [ "$EUID" = 0 ] || fail "must run as root"
  mkdir -p "$bin" "$state" "$run" "$logs" "$config/cni" "$pki"
  step "packages" install_packages
  step "programs" build
  [ "${1:-}" != programs ] || return 0
  is_only_cluster || fail "another cluster is running on this machine: two would delete each other's network rules"
  step "certificates" make_certificates
  step "configuration" write_configuration
  step "network" make_bridge
  step "servers" start_servers
  step "add-ons" apply_addons
  echo "cluster: ready in $SECONDS s; to use it:"
  echo "export KUBECONFIG=$KUBECONFIG PATH=$bin:\$PATH"
}

# kube-proxy's rules and the pods' cgroups have fixed names. Clusters in containers do not count: they have another network namespace.
is_only_cluster() {
  local pid own
  own=$(cat "$run/kube-proxy.pid" 2>/dev/null || true)
  while IFS=/ read -r _ _ pid _; do
    [ "$pid" = "$own" ] || [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || return 1
  done < <(grep -lx kube-proxy /proc/[0-9]*/comm 2>/dev/null)
}

# --- packages

install_packages() {
  local missing=()
  needs containerd containerd
  needs runc runc
  needs /usr/lib/cni/bridge containernetworking-plugins
  needs iptables iptables
  needs conntrack conntrack
  needs socat socat
  needs ip iproute2
  needs openssl openssl
  needs gcc gcc
  needs /usr/include/stdio.h libc6-dev
  ((${#missing[@]})) || return 0
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$logs/apt.log" 2>&1
}

needs() { # COMMAND OR FILE, PACKAGE
  command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2")
}

# --- programs

build() {
  local minimum_go=${kubernetes:+1.26} # for functions.sh
  build_once kubernetes "8 minutes" "$modules.mod" "$modules.sum" pause.c coredns/main.go kube/main.go
  build_once operator "2 minutes" operator/*
  build_once discovery "1 minute" discovery/*
  rm -rf "$home/cache" # 6 GB, used by builds only
}

build_kubernetes() {
  local name modfile=$modules.mod
  gcc -Os -static -s -o "$bin/pause" pause.c
  compile kube ./kube "$(version_flags)"
  compile coredns ./coredns
  compile local-path-provisioner github.com/rancher/local-path-provisioner
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sfn kube "$bin/$name"
  done
  rm -f "$state/images"
}

# Also copies the custom resource definitions from the operator's module.
build_operator() {
  local module=github.com/prometheus-operator/prometheus-operator
  cd operator
  compile prometheus-operator "$module/cmd/operator"
  cp -rT "$(with_cache go list -m -f '{{.Dir}}' "$module")/example/prometheus-operator-crd" "$bin/definitions"
  cd ..
}

build_discovery() {
  cd discovery
  compile prometheus-discovery .
  cd ..
}

# Without these flags Kubernetes reports version v0.0.0, which Helm and the chart reject.
version_flags() {
  local version package
  version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$modules.mod")
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    echo -n "-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version") "
    echo -n "-X $package.gitTreeState=clean "
  done
}

# --- configuration

write_configuration() {
  fill config/cni.conflist | put "$config/cni/10-bridge.conflist"
  fill config/containerd.toml | put "$config/containerd.toml"
  fill config/kubelet.yaml | put "$config/kubelet.yaml"
  fill config/proxy.yaml | put "$config/proxy.yaml"
  put "$config/resolv.conf" </dev/null # also for CoreDNS: no upstream server
}

make_bridge() {
  sysctl -qw net.ipv4.ip_forward=1
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
  mount --make-rshared / 2>/dev/null || true # volumes with mountPropagation need it
  ip link show "$node_bridge" >/dev/null 2>&1 || ip link add "$node_bridge" type bridge
  ip address replace "$node_ip/32" dev "$node_bridge"
  ip link set "$node_bridge" up
  # Connections to a Service without rules must not reach another network: its answer would be taken for that of an aggregated API.
  ip route replace "$service_cidr" dev "$node_bridge"
}

# --- servers

start_servers() {
  start_containerd
  load_images
  start_etcd
  start_apiserver
  start_controllers
  start_scheduler
  start kubelet --config="$config/kubelet.yaml" --kubeconfig="$config/kubelet.kubeconfig" --root-dir="$state/kubelet" \
    --hostname-override="$node" --node-ip="$node_ip"
  start kube-proxy --config="$config/proxy.yaml"
  wait_for 60 kubectl get node "$node"
  kubectl wait --for=condition=Ready "node/$node" --timeout=90s >/dev/null
}

start_containerd() {
  start containerd --config "$config/containerd.toml"
  wait_for 30 containers version
}

# $state/images exists if the images of the current build are loaded; down.sh --purge deletes both.
load_images() {
  [ ! -f "$state/images" ] || return 0
  docker info >/dev/null 2>&1 || fail "cannot reach Docker"
  make_image pause 65535:65535
  make_image coredns 0:0
  make_image local-path-provisioner 0:0
  docker image inspect "$helper_image" >/dev/null 2>&1 || docker pull -q "$helper_image" >/dev/null
  ./load.sh orders-cluster/{pause,coredns,local-path-provisioner}:1 "$helper_image" >"$state/images.new"
  mv "$state/images.new" "$state/images"
}

start_etcd() {
  local peer=http://127.0.0.1:$etcd_peer_port client=http://127.0.0.1:$etcd_port
  start etcd --name "$node" --data-dir "$state/etcd" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "$node=$peer" \
    --unsafe-no-fsync --log-level warn
}

# A server that was told to stop answers that it is not ready, and takes up to a minute to end.
start_apiserver() {
  wait_for 90 restart_apiserver
}

restart_apiserver() { # unless it is running
  start kube-apiserver --etcd-servers="http://127.0.0.1:$etcd_port" --advertise-address="$node_ip" --secure-port="$api_port" \
    --service-cluster-ip-range="$service_cidr" --allow-privileged=true --profiling=false \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --client-ca-file="$pki/ca.crt" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/accounts.pub" --service-account-signing-key-file="$pki/accounts.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key"
  kubectl get --raw /readyz
}

start_controllers() {
  local as=$config/controllers.kubeconfig
  start kube-controller-manager --kubeconfig="$as" --authentication-kubeconfig="$as" --authorization-kubeconfig="$as" \
    --bind-address=127.0.0.1 --secure-port="$controllers_port" --leader-elect=false --profiling=false \
    --use-service-account-credentials --service-account-private-key-file="$pki/accounts.key" \
    --root-ca-file="$pki/ca.crt" --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr="$pod_cidr" --node-cidr-mask-size=24 --service-cluster-ip-range="$service_cidr"
}

start_scheduler() {
  local as=$config/scheduler.kubeconfig
  start kube-scheduler --kubeconfig="$as" --authentication-kubeconfig="$as" --authorization-kubeconfig="$as" \
    --bind-address=127.0.0.1 --secure-port="$scheduler_port" --leader-elect=false --profiling=false
}

# --- add-ons

apply_addons() {
  local addon
  for addon in addons/*.yaml; do fill "$addon" | kubectl apply -f - >/dev/null; done
  for addon in coredns local-path-provisioner; do
    kubectl --namespace kube-system rollout status "deployment/$addon" --timeout=120s >/dev/null
  done
  kubectl apply --server-side -f "$bin/definitions" >/dev/null
  # The operator discovers the served resources only once, when it starts.
  kubectl wait --for=condition=Established customresourcedefinition --all --timeout=60s >/dev/null
  wait_for 60 kubectl get prometheuses,servicemonitors,podmonitors,prometheusrules,probes,scrapeconfigs --all-namespaces
  start prometheus-operator --web.listen-address="127.0.0.1:$operator_port"
}

main "$@"
