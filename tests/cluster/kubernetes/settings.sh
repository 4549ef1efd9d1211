# settings.sh: settings shared by up.sh, load.sh and down.sh. Sourced.
# shellcheck shell=bash disable=SC2034 # most variables are used by the scripts that source this file
kubernetes=${ORDERS_KUBERNETES:-} # the minor version of a file go-VERSION.mod; empty: that of go.mod
modules=go${kubernetes:+-$kubernetes}
home=${ORDERS_CLUSTER_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/orders-cluster${kubernetes:+-$kubernetes}}
bin=$home/bin
state=$home/state
run=$home/run
logs=$home/logs
config=$state/config
pki=$state/pki
socket=$run/containerd.sock

# Addresses, ports and interfaces that are unlikely to be in use on this machine.
node=orders
helper_image=debian:bookworm-slim # creates and deletes the folders of volume claims; built by .ci/images.sh
node_ip=10.235.0.1 # on a separate bridge: independent of the machine's interfaces
node_bridge=orders-node0
pod_bridge=orders-cni0
pod_network=orders
pod_cidr=10.245.0.0/24
service_cidr=10.97.0.0/16
service_ip=10.97.0.1
dns_ip=10.97.0.10
api_port=26443
etcd_port=22379
etcd_peer_port=22380
kubelet_port=20250
kubelet_health_port=20248
proxy_metrics_port=20249
proxy_health_port=20256
controllers_port=20257
scheduler_port=20259
operator_port=20260

export KUBECONFIG=$config/admin.kubeconfig
export PATH=$bin:/usr/sbin:/sbin:$PATH

containers() { # runs ctr on this cluster's containerd
  ctr --address "$socket" --namespace k8s.io "$@"
}

# Also compares the program's name, because another program may have the process id, for example after a reboot.
alive() { # NAME
  local pid name state
  pid=$(cat "$run/$1.pid" 2>/dev/null) && read -r _ name state _ 2>/dev/null <"/proc/$pid/stat" || return 1
  [ "$name" = "(${1:0:15})" ] && [ "$state" != Z ] # a zombie has ended
}
