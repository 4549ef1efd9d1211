# steps.sh: what .ci/run and .ci/nightly have in common. Sourced; expects the folder of reports in $reports.
# shellcheck shell=bash disable=SC2154

step() { # TITLE COMMAND...
  local started=$SECONDS title=$1 result=0
  shift
  printf '\n== %s\n' "$title"
  "$@" || result=$?
  echo "== $title: $((SECONDS - started)) s"
  return "$result"
}

pytest_run() { # TIER, SECONDS A TEST MAY TAKE
  echo ".venv/bin/pytest $(reporting "$1" "${2:-300}")"
}

reporting() {
  # A test that hangs ends the run and prints its stack.
  echo "--junitxml=$reports/$1.xml -o faulthandler_timeout=$2 -o faulthandler_exit_on_timeout=true"
}
