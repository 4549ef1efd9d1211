#!/usr/bin/env bash
# load.sh IMAGE...: makes images of this machine's Docker known to the cluster that up.sh started, but for those that it knows.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
source "$(dirname "$0")/settings.sh"

main() {
  local image new=()
  for image in "$@"; do is_known "$image" || new+=("$image"); done
  ((${#new[@]})) || return 0
  docker save "${new[@]}" | containers images import --snapshotter overlayfs -
  for image in "${new[@]}"; do id "$image" >"$(note "$image")"; done
}

is_known() { [ -f "$(note "$1")" ] && [ "$(id "$1")" = "$(cat "$(note "$1")")" ]; }
id() { docker image inspect --format '{{.Id}}' "$1"; }
note() { echo "$state/loaded/${1//[:\/]/_}"; }

(($#)) || { echo "usage: load.sh IMAGE..." >&2; exit 2; }
mkdir -p "$state/loaded"
main "$@"
