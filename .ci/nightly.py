"""Prints and records the results of .ci/nightly. Exits 1 if a test failed or was skipped, or if the tier ran no test.

Usage: nightly.py TESTS_FOLDER REPORTS_FOLDER RESULTS_FILE COMMIT whole|part TIER. REPORTS_FOLDER contains TIER.xml.
`make reference` generates docs/nightly.md from RESULTS_FILE, which has the runs of each tier. A run of the whole tier
replaces all earlier ones, and a part only the results of the tests that it ran.
"""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiers import HEADER, Tier, read

MEASURED = "measured"
"""Name of the property with which a test records a figure."""

Run = dict[str, Any]


def main(tests: Path, reports: Path, results_file: Path, commit: str, extent: str, name: str) -> int:
    results: dict[str, list[Run]] = json.loads(results_file.read_text(encoding="utf-8"))
    tier, earlier = read(name, tests / folder_of(name), reports / f"{name}.xml"), results.get(name, [])
    print(HEADER)
    print(tier.row(sum(run["seconds"] for run in earlier) or None))
    if tier.cases:
        new = run_of(tier, commit)
        results[name] = [*(still_valid(earlier, new) if extent == "part" else []), new]
    results_file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    problems = list(tier.problems())
    print("", *problems, sep="\n")
    return 1 if problems else 0


def folder_of(tier: str) -> str:
    return "cluster" if tier.startswith("kubernetes-") else tier


def run_of(tier: Tier, commit: str) -> Run:
    """Return the outcomes and the recorded figures by test, in the order in which the tests ran."""
    cases = [case for case in tier.cases if "name" in case.attrib]  # an interrupted test has none
    tests = {test_id(case): outcome(case) for case in cases}
    properties = [(test_id(case), each.attrib) for case in cases for each in case.iter("property")]
    measured = {test: each["value"] for test, each in properties if each["name"] == MEASURED}
    return {"commit": commit, "date": tier.date, "seconds": round(tier.seconds), "tests": tests, MEASURED: measured}


def test_id(case: ET.Element) -> str:
    return f"{case.attrib['classname'].rpartition('.')[2]}::{case.attrib['name']}"


def outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def still_valid(earlier: list[Run], new: Run) -> Iterator[Run]:
    """Yield the earlier runs, without the tests that have run again."""
    for run in earlier:
        left = {
            part: {key: run[part][key] for key in run[part] if key not in new["tests"]} for part in ("tests", MEASURED)
        }
        if left["tests"]:
            yield run | left


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), *sys.argv[4:]))
