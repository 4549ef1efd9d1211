#!/usr/bin/env bash
# load.sh IMAGE...: loads images from this machine's Docker into the cluster that up.sh started, unless they are loaded already.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
source "$(dirname "$0")/settings.sh"

main() {
  local image new=()
  for image in "$@"; do is_loaded "$image" || new+=("$image"); done
  ((${#new[@]})) || return 0
  docker save "${new[@]}" | containers images import --snapshotter overlayfs -
  for image in "${new[@]}"; do id "$image" >"$(id_file "$image")"; done
}

is_loaded() { [ -f "$(id_file "$1")" ] && [ "$(id "$1")" = "$(cat "$(id_file "$1")")" ]; }
id() { docker image inspect --format '{{.Id}}' "$1"; }
id_file() { echo "$state/loaded/${1//[:\/]/_}"; }

(($#)) || { echo "usage: load.sh IMAGE..." >&2; exit 2; }
mkdir -p "$state/loaded"
main "$@"
