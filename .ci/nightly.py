"""Prints and records the results of .ci/nightly. Exits 1 if a test failed or was skipped, or if a tier ran no test.

Usage: nightly.py TESTS_FOLDER REPORTS_FOLDER RESULTS_FILE COMMIT TIER... REPORTS_FOLDER contains TIER.xml for each.
Replaces the entries of these tiers in RESULTS_FILE, from which `make reference` generates docs/nightly.md.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tiers import HEADER, Tier, read

MEASURED = "measured"
"""Name of the property with which a test records a figure."""


def main(tests: Path, reports: Path, results_file: Path, commit: str, names: list[str]) -> int:
    results = json.loads(results_file.read_text(encoding="utf-8")) if results_file.exists() else {}
    tiers = [read(name, tests / name, reports / f"{name}.xml") for name in names]
    print(HEADER)
    print(*(tier.row(results.get(tier.name, {}).get("seconds")) for tier in tiers), sep="\n")
    results |= {tier.name: result(tier, commit) for tier in tiers if tier.cases}
    results_file.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    problems = [problem for tier in tiers for problem in tier.problems()]
    print("", *problems, sep="\n")
    return 1 if problems else 0


def result(tier: Tier, commit: str) -> dict[str, Any]:
    counts = {"ran": len(tier.cases), "failed": tier.failed, "skipped": tier.skipped, "seconds": round(tier.seconds)}
    return {"commit": commit, "date": tier.date, **counts, MEASURED: measured(tier)}


def measured(tier: Tier) -> dict[str, str]:
    """Return the recorded figures by test, in the order in which the tests ran."""
    properties = [(case, each) for case in tier.cases for each in case.iter("property")]
    return {case.attrib["name"]: each.attrib["value"] for case, each in properties if each.get("name") == MEASURED}


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), sys.argv[4], sys.argv[5:]))
