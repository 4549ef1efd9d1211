#!/usr/bin/env bash
# .ci/skaffold.sh: install Skaffold, build the image and deploy the chart with skaffold.yaml into a namespace of the current kind cluster, test
# the release, and delete it. The checksum comes from the same server as Skaffold.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v2.17.0
url=https://storage.googleapis.com/skaffold/releases/$version/skaffold-linux-amd64
namespace=skaffold
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
  install_skaffold
  .venv/bin/pytest tests/chart/test_skaffold.py
  kubectl create namespace "$namespace"
  skaffold build --file-output "$work/build.json"
  skaffold deploy --build-artifacts "$work/build.json" --namespace "$namespace"
  helm test orders --namespace "$namespace"
  skaffold delete --namespace "$namespace"
}

install_skaffold() {
  local checksum
  curl -fsSL --output "$work/skaffold" "$url"
  checksum=$(curl -fsSL "$url.sha256" | grep -o '^[0-9a-f]\{64\}')
  echo "$checksum  $work/skaffold" | sha256sum --check --strict
  chmod +x "$work/skaffold"
  export PATH=$work:$PATH
}

main
