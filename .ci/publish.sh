#!/usr/bin/env bash
# .ci/publish.sh REGISTRY [ARCHITECTURE...]: push image and chart of this version to a registry (HOST/OWNER). The image is orders:VERSION of this
# machine (`make image`) or, with architectures, an index of the images orders:VERSION-ARCHITECTURE in the registry. The chart is that of
# `make package IMAGE_REPOSITORY=REGISTRY/orders`. Log in with docker and helm before. A registry on this machine (localhost:PORT) is reached
# without TLS. Writes the references of both, by digest, to dist/published.txt, for a signature.
set -euo pipefail
cd "$(dirname "$0")/.."

registry=$1
version=$(sed -n 's/^version: *//p' chart/Chart.yaml)
image=$registry/orders:$version
chart=$registry/charts/orders
options=()
[[ $registry != localhost:* ]] || options=(--plain-http)
shift

main() {
  if (($#)); then push_index "$@"; else push_image; fi >dist/published.txt
  push_chart >>dist/published.txt
  [ -z "${ARTIFACT_HUB_REPOSITORY_ID:-}" ] || push_metadata
}

push_image() {
  "${DOCKER:-docker}" tag "orders:$version" "$image"
  "${DOCKER:-docker}" push --quiet "$image" >&2
  "${DOCKER:-docker}" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | grep -F "$registry/orders@"
}

push_index() { # ARCHITECTURE...
  docker buildx imagetools create --tag "$image" "${@/#/$image-}" >&2
  docker buildx imagetools inspect "$image" | sed -n "s|^Digest: *|$registry/orders@|p"
}

push_chart() {
  helm push "dist/orders-$version.tgz" "oci://$registry/charts" "${options[@]}" 2>&1 | tee /dev/stderr |
    grep -o 'sha256:[0-9a-f]\{64\}' | sed "s|^|$chart@|"
}

# Proves to Artifact Hub who publishes the chart.
push_metadata() {
  local tools
  tools=$(.ci/tools.sh oras | tail -n 1)
  echo "repositoryID: $ARTIFACT_HUB_REPOSITORY_ID" >dist/artifacthub-repo.yml
  (cd dist && "$tools/oras" push "${options[@]}" "$chart:artifacthub.io" --config /dev/null:application/vnd.cncf.artifacthub.config.v1+yaml \
    artifacthub-repo.yml:application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml)
}

main "$@"
