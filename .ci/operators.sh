#!/usr/bin/env bash
# .ci/operators.sh: install Strimzi and CloudNativePG on the current cluster, run the commands of k8s/README.md ("Operators") in a namespace,
# test the release, and delete it.
set -euo pipefail
cd "$(dirname "$0")/.."

namespace=operators
strimzi=0.49.0 cloudnative_pg=0.26.0 # of the Helm charts

main() {
  kubectl create namespace "$namespace"
  kubectl config set-context --current --namespace "$namespace"
  helm install strimzi oci://quay.io/strimzi-helm/strimzi-kafka-operator --version "$strimzi" --wait
  helm install cloudnative-pg cloudnative-pg --repo https://cloudnative-pg.github.io/charts --version "$cloudnative_pg" --wait
  documented_commands | bash -euxo pipefail
  helm test orders
  helm uninstall orders --wait
  kubectl delete namespace "$namespace"
}

# Without the values for production, whose requests are too large for a small cluster.
documented_commands() {
  sed -n '/^## Operators/,/^## Monitoring/{/^```sh/,/^```/p}' k8s/README.md | sed -e '/^```/d' -e 's| -f k8s/values/production.yaml||'
}

main
