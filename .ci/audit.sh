#!/usr/bin/env bash
# audit.sh: checks the lock files for known vulnerabilities with pip-audit and npm audit: `make audit`.
# Exits 0 if there are none, 1 if there are some, 3 if an advisory service could not be queried.
set -uo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
vulnerable=0 unchecked=0

main() {
  local lock
  for lock in requirements*.lock; do python_packages "$lock"; done
  page_packages
  if ((vulnerable)); then exit 1; elif ((unchecked)); then exit 3; fi
}

# pip-audit exits 1 both for vulnerabilities and for a failed query, but prints a table only for vulnerabilities.
python_packages() { # LOCK FILE
  if pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r "$1" >"$work/found" 2>"$work/error"; then
    echo "audit: no known vulnerabilities in $1"
  elif [ -s "$work/found" ]; then
    report "$1"
  else
    not_checked "$1" "pip-audit"
  fi
}

# npm audit's report ends with the number of vulnerabilities, unless the query failed.
page_packages() {
  if npm --prefix web audit --package-lock-only >"$work/found" 2>"$work/error"; then
    echo "audit: no known vulnerabilities in web/package-lock.json"
  elif grep -q "vulnerabilit" "$work/found"; then
    report "web/package-lock.json"
  else
    not_checked "web/package-lock.json" "npm audit"
  fi
}

report() { # LOCK FILE
  vulnerable=1
  cat "$work/found"
  echo "audit: known vulnerabilities in $1" >&2
}

not_checked() { # LOCK FILE, PROGRAM
  unchecked=1
  echo "audit: NOT CHECKED: $1: $2 failed: $(grep -v 'complete log' "$work/error" | tail -n 1)" >&2
}

main
