#!/usr/bin/env bash
# .ci/evaluation.sh CONTEXT: verify what k8s/kind-up.sh or k8s/minikube-up.sh has started: orders arrive, and page, Prometheus and Grafana show them.
set -euo pipefail

context=$1

main() {
  helm --kube-context "$context" test orders
  kubectl --context "$context" exec deployment/orders-consumer --container consumer -- orders generate --count 1000
  eventually "the page" contains '<title>Orders' http://127.0.0.1:30080/
  eventually "Prometheus" contains '"value"' --get --data-urlencode 'query=sum(orders_stored_total) > 0' http://127.0.0.1:30090/api/v1/query
  eventually "Grafana" contains '"title":"Orders"' http://127.0.0.1:30030/api/dashboards/uid/orders
}

contains() { # TEXT, ARGUMENTS OF CURL...
  curl -fsS "${@:2}" | grep -F "$1" >/dev/null
}

eventually() { # TITLE COMMAND...
  local title=$1
  shift
  for _ in {1..60}; do
    ! "$@" 2>/dev/null || { echo "evaluation: $title works" && return; }
    sleep 2
  done
  "$@" || true
  echo "evaluation: $title failed: no success within 2 minutes" >&2
  return 1
}

main
