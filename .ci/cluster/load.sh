#!/usr/bin/env bash
# load.sh IMAGE...: makes images of this machine's Docker known to the cluster that up.sh started.
set -euo pipefail
source "$(dirname "$0")/settings.sh"

(($#)) || { echo "usage: load.sh IMAGE..." >&2; exit 2; }
docker save "$@" | containers images import --snapshotter overlayfs -
