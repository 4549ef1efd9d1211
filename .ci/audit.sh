#!/usr/bin/env bash
# audit.sh: asks the advisory services of Python and npm what is known against anything in the lock files: `make audit`.
# Exits 0 where nothing is, 1 where something is, 3 where a service could not be asked: then nothing is known of its packages.
set -uo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
known=0 unasked=0

main() {
  local lock
  for lock in requirements*.lock; do python_packages "$lock"; done
  page_packages
  if ((known)); then exit 1; elif ((unasked)); then exit 3; fi
}

# It prints a table of what it found, and nothing at all where it could not ask: the status is 1 in both cases.
python_packages() { # LOCK FILE
  if pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r "$1" >"$work/found" 2>"$work/error"; then
    echo "audit: nothing is known against the packages of $1"
  elif [ -s "$work/found" ]; then
    found "$1"
  else
    not_asked "$1" "pip-audit"
  fi
}

# Its report ends with the number of vulnerabilities; without an answer there is none.
page_packages() {
  if npm --prefix web audit --package-lock-only >"$work/found" 2>"$work/error"; then
    echo "audit: nothing is known against the packages of web/package-lock.json"
  elif grep -q "vulnerabilit" "$work/found"; then
    found "web/package-lock.json"
  else
    not_asked "web/package-lock.json" "npm audit"
  fi
}

found() { # LOCK FILE
  known=1
  cat "$work/found"
  echo "audit: something is known against packages of $1" >&2
}

not_asked() { # LOCK FILE, PROGRAM
  unasked=1
  echo "audit: NOT ASKED about $1: $2 says: $(grep -v 'complete log' "$work/error" | tail -n 1)" >&2
}

main
