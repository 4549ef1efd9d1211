#!/usr/bin/env bash
# .ci/package.sh FOLDER: build wheel and chart, which have the same bytes for the same commit. Needs helm and the built page.
set -euo pipefail
folder=$(realpath --canonicalize-missing "$1")
cd "$(dirname "$0")/.."

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
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  helm package chart --destination "$work" >/dev/null
  packaged=$(basename "$work"/*.tgz)
  tar --warning=no-timestamp -xzf "$work/$packaged" -C "$work"
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - orders |
    gzip -n >"$folder/$packaged"
  echo "$folder/$packaged"
}

main
