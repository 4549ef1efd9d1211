# common.sh: what kind-up.sh and minikube-up.sh have in common. Sourced. They define up, down, programs and context.
# shellcheck shell=bash disable=SC2154 # programs and context

prometheus_stack=93.6.0 # version of the chart kube-prometheus-stack
version=$(sed -n 's/^appVersion: *"\(.*\)"/\1/p' chart/Chart.yaml)

declare -A websites=(
  [docker]=https://docs.docker.com/get-docker/
  [helm]=https://helm.sh/docs/intro/install/
  [kind]=https://kind.sigs.k8s.io/docs/user/quick-start/#installation
  [kubectl]=https://kubernetes.io/docs/tasks/tools/
  [make]=https://www.gnu.org/software/make/
  [minikube]=https://minikube.sigs.k8s.io/docs/start/
)

main() {
  case ${1:-up} in
    up) require_programs && up && print_addresses ;;
    down) require_programs && down ;;
    *) fail "unknown argument $1: use \"up\" (the default) or \"down\"" ;;
  esac
}

require_programs() {
  local each missing=0
  for each in "${programs[@]}"; do
    command -v "$each" >/dev/null || { missing=1 && echo "$each not found: install it (${websites[$each]})" >&2; }
  done
  ((missing == 0)) || exit 2
  docker info >/dev/null 2>&1 || fail "cannot reach the Docker engine: start it, or check your permissions with \"docker info\""
}

fail() {
  echo "$1" >&2
  exit 2
}

step() { # TITLE COMMAND...
  local title=$1 started=$SECONDS
  shift
  echo "$title ..."
  "$@"
  echo "$title: $((SECONDS - started)) s"
}

build_image() {
  make --no-print-directory image
}

install_monitoring() {
  install kube-prometheus-stack oci://ghcr.io/prometheus-community/charts/kube-prometheus-stack --version "$prometheus_stack" \
    --namespace monitoring --create-namespace --values k8s/evaluation/kube-prometheus-stack.yaml
}

install_orders() { # HELM OPTIONS THAT SELECT THE IMAGE...
  install orders chart --namespace default --values k8s/values/kind.yaml --values k8s/values/kube-prometheus-stack.yaml \
    --values k8s/values/evaluation.yaml "$@"
}

install() { # HELM ARGUMENTS...
  helm --kube-context "$context" upgrade --install "$@" --wait --timeout 15m >/dev/null
}

print_addresses() {
  cat <<END

page and API  http://127.0.0.1:30080
Grafana       http://127.0.0.1:30030/d/orders
Prometheus    http://127.0.0.1:30090

produce orders: kubectl --context $context exec deployment/orders-consumer --container consumer -- orders generate --count 1000
delete all:     $0 down
END
}
