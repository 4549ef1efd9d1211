#!/usr/bin/env bash
# .ci/notes.sh VERSION: print this version's section of CHANGELOG.md, the text of its release.
set -euo pipefail
cd "$(dirname "$0")/.."

notes=$(awk -v version="$1" '/^## /{is_wanted = $2 == version; next} is_wanted' CHANGELOG.md)
[ -n "$notes" ] || { echo "CHANGELOG.md has no section for $1" >&2; exit 1; }
echo "$notes"
