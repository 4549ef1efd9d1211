#!/usr/bin/env bash
# .ci/package.sh FOLDER [IMAGE REPOSITORY]: build wheel and chart, which have the same bytes for the same commit. The chart installs the image from
# this repository, such as ghcr.io/owner/orders; by default from `orders`. Needs helm and the built page.
set -euo pipefail
folder=$(realpath --canonicalize-missing "$1")
repository=${2:-}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  export SOURCE_DATE_EPOCH
  mkdir -p "$folder"
  .venv/bin/python -m hatchling build -t wheel -d "$folder"
  chart
}

# `helm package` archives the time of the build.
chart() {
  local packaged
  cp -r chart "$work"
  cp LICENSE "$work/chart"
  [ -z "$repository" ] || name_image
  helm package "$work/chart" --destination "$work" >/dev/null
  packaged=$(basename "$work"/*.tgz)
  tar --warning=no-timestamp -xzf "$work/$packaged" -C "$work"
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - orders |
    gzip -n >"$folder/$packaged"
  echo "$folder/$packaged"
}

# In the default values, and in the annotation from which Artifact Hub lists a chart's images.
name_image() {
  local version
  version=$(sed -n 's/^version: *//p' chart/Chart.yaml)
  sed -i "/^image:/,/^[a-z]/ s|^  repository: .*|  repository: $repository|" "$work/chart/values.yaml"
  sed -i "/^annotations:/a\\  artifacthub.io/images: \"[{name: orders, image: '$repository:$version'}]\"" "$work/chart/Chart.yaml"
}

main
