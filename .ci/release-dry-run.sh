#!/usr/bin/env bash
# .ci/release-dry-run.sh: package the chart, publish it and the image of `make image` to a registry on this machine, and get them back.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(.ci/tools.sh | tail -n 1)
export PATH=$tools:$PATH

registry=
server=
version=$(sed -n 's/^version: *//p' chart/Chart.yaml)
work=$(mktemp -d)
trap clean_up EXIT

main() {
  registry=localhost:$(.venv/bin/python -c 'from local.ports import free_port; print(free_port())')/release
  start "$registry"
  .ci/package.sh dist "$registry/orders"
  .ci/publish.sh "$registry"
  "${DOCKER:-docker}" image rm --no-prune "$registry/orders:$version" >/dev/null
  "${DOCKER:-docker}" pull --quiet "$registry/orders:$version"
  helm pull "oci://$registry/charts/orders" --version "$version" --plain-http --destination "$work"
  cmp "dist/orders-$version.tgz" "$work/orders-$version.tgz"
  helm template orders "oci://$registry/charts/orders" --version "$version" --plain-http >"$work/rendered.yaml"
  grep -q "\"$registry/orders:$version\"" "$work/rendered.yaml"
  while read -r each; do is_published "${each#*/}"; done <dist/published.txt
  .ci/notes.sh "$version" >/dev/null
  echo "release: Orders $version was pushed to a registry and pulled from it"
}

is_published() { # NAME@DIGEST
  curl -fsS --output /dev/null "http://${registry%%/*}/v2/${1%@*}/manifests/${1#*@}"
}

start() { # REGISTRY
  local address=${1%%/*}
  registry -port "${address##*:}" >"$work/registry.log" 2>&1 &
  server=$!
  timeout 30 bash -c "until curl -fsS http://$address/v2/ >/dev/null 2>&1; do read -rt 0.1 <> <(:) || :; done"
}

clean_up() {
  kill "$server" 2>/dev/null || true
  "${DOCKER:-docker}" image rm --no-prune "$registry/orders:$version" >/dev/null 2>&1 || true
  rm -rf "$work"
}

main
