#!/usr/bin/env bash
# .ci/publish.sh REGISTRY: push image and chart of this version to a registry (HOST/OWNER), after `make image package`.
# Log in with docker and helm before. A registry on this machine (localhost:PORT) is reached without TLS.
# Writes the references of both, by digest, to dist/published.txt, for a signature.
set -euo pipefail
cd "$(dirname "$0")/.."

registry=$1
version=$(sed -n 's/^version: *//p' chart/Chart.yaml)
options=()
[[ $registry != localhost:* ]] || options=(--plain-http)

"${DOCKER:-docker}" tag "orders:$version" "$registry/orders:$version"
"${DOCKER:-docker}" push --quiet "$registry/orders:$version"
helm push "dist/orders-$version.tgz" "oci://$registry/charts" "${options[@]}" 2>&1 | tee dist/push.log
{
  "${DOCKER:-docker}" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$registry/orders:$version" | grep -F "$registry/orders@"
  grep -o 'sha256:[0-9a-f]\{64\}' dist/push.log | sed "s|^|$registry/charts/orders@|"
} >dist/published.txt
rm dist/push.log
