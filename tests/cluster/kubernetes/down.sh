#!/usr/bin/env bash
# down.sh: stops the cluster that up.sh started. --purge also deletes its state (objects, claims and images), but not the programs.
# shellcheck source-path=SCRIPTDIR
set -uo pipefail
source "$(dirname "$0")/settings.sh"

main() {
  stop kube-router prometheus-operator kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver etcd
  ! alive containerd || remove_containers
  stop containerd
  unmount
  remove_network
  [ "${1:-}" != --purge ] || rm -rf "$state" "$run"
}

stop() { # NAME...: send SIGTERM to all, and SIGKILL after 5 s
  local name
  for name in "$@"; do signal TERM "$name"; done
  for _ in {1..25}; do
    any_alive "$@" || break
    sleep 0.2
  done
  for name in "$@"; do
    signal KILL "$name"
    rm -f "$run/$name.pid"
  done
}

signal() { # SIGNAL NAME
  ! alive "$2" || kill "-$1" "$(cat "$run/$2.pid")"
}

any_alive() {
  local name
  for name in "$@"; do ! alive "$name" || return 0; done
  return 1
}

remove_containers() {
  each task kill --signal SIGKILL --all
  wait_for_tasks
  each task delete --force
  each container delete
}

each() { # KIND ARGUMENTS...
  timeout 20 ctr --address "$socket" --namespace k8s.io "$1" ls -q |
    xargs -r -P4 -n1 timeout 20 ctr --address "$socket" --namespace k8s.io "$@" >/dev/null 2>&1
}

wait_for_tasks() {
  for _ in {1..25}; do
    containers task ls | grep -q RUNNING || break
    sleep 0.2
  done
}

# Unmounts everything below the cluster's folders, the deepest first.
unmount() {
  awk -v state="$state/" -v run="$run/" 'index($2, state) == 1 || index($2, run) == 1 {print $2}' /proc/mounts | sort -r |
    while read -r folder; do umount -l "$folder"; done
}

remove_network() {
  ip link show "$node_bridge" >/dev/null 2>&1 || return 0
  remove_namespaces
  remove_masquerading
  remove_forwarding
  remove_policies
  [ ! -x "$bin/kube-proxy" ] || kube-proxy --cleanup >/dev/null 2>&1
  rm -rf "$state/ipam"
  ip link delete "$pod_bridge" 2>/dev/null
  ip link delete "$node_bridge"
}

# Deletes the network namespaces of pods that were killed, which are recognized by their address.
remove_namespaces() {
  local name
  for name in $(ip netns list 2>/dev/null | awk '/^cni-/ {print $1}'); do
    ! ip -netns "$name" -4 -oneline address 2>/dev/null | grep -q "inet ${pod_cidr%.*}\." || ip netns delete "$name"
  done
}

remove_masquerading() {
  iptables-save -t nat 2>/dev/null | grep -E "^-A POSTROUTING .*name: \\\\\"$pod_network\\\\\" id: " |
    while read -r rule; do
      eval "iptables -t nat -D ${rule#-A }" # eval removes the quotes that iptables-save puts around the comment
      iptables -t nat -F "${rule##* }"
      iptables -t nat -X "${rule##* }"
    done
}

remove_forwarding() {
  iptables-save -t filter 2>/dev/null | grep -E "^-A CNI-FORWARD .*${pod_cidr%.*}\." |
    while read -r -a rule; do iptables -D "${rule[@]:1}"; done
}

# kube-router's rules and address sets.
remove_policies() {
  local chains='KUBE-(ROUTER|POD-FW|NWPLCY)'
  ! iptables-save -t filter 2>/dev/null | grep -cE "$chains" >/dev/null || # with -q, the pipe might break
    iptables-save -t filter | grep -vE "$chains" | iptables-restore --table filter
  ipset list -name 2>/dev/null | grep -E '^(KUBE-(SRC|DST)-|kube-router-)' | xargs -r -n1 ipset destroy
}

main "$@"
exit 0
