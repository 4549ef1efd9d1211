"""Summarizes pytest's JUnit reports by tier, with the durations of this run and an earlier one.

Exits 1 if a test failed or was skipped, or if a tier that has tests did not run.

Usage: tiers.py TESTS_FOLDER REPORTS_FOLDER SECONDS_FILE CACHES TOTAL_SECONDS. REPORTS_FOLDER contains NAME.xml for each
tier. Writes seconds.json to it: a copy of SECONDS_FILE in which the entry for CACHES (warm or cold) is this run's.
"""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDERS = {
    "unit": "unit",  # and the folders in WITH_UNIT
    "containers": "integration",
    "processes": "integration",
    "partitioned": "integration",
    "own_servers": "integration",
    "chart": "chart",
    "cluster": "cluster",
    "faults": "faults",
    "fuzz": "fuzz",
    "browser": "browser",
    "Prometheus": "prometheus",
}
WITH_UNIT = {"commands", "meta", "simulation"}
"""Folders whose tests run and count with tests/unit."""
HEADER = f"\n{'tier':<16}{'ran':>7}{'passed':>9}{'failed':>9}{'skipped':>9}{'seconds':>10}{'before':>10}"
TOTAL = "all of it"
LIMITS_SECONDS = {"warm": 45 * 60, "cold": 60 * 60}


@dataclass(frozen=True, slots=True)
class Tier:
    name: str
    folder: Path
    cases: list[ET.Element]
    seconds: float
    """Wall-clock time, including the effect of tiers that ran in parallel."""
    date: str
    """When the tier started, as YYYY-MM-DD. Empty if it did not run."""

    @property
    def failed(self) -> int:
        return sum(case.find("failure") is not None or case.find("error") is not None for case in self.cases)

    @property
    def skipped(self) -> int:
        return sum(case.find("skipped") is not None for case in self.cases)

    @property
    def passed(self) -> int:
        return len(self.cases) - self.failed - self.skipped

    @property
    def exists(self) -> bool:
        return has_tests(self.folder)

    def row(self, before: float | None) -> str:
        if not self.exists:
            return f"{self.name:<16}no tests"
        counts = f"{len(self.cases):>7}{self.passed:>9}{self.failed:>9}{self.skipped:>9}"
        return f"{self.name:<16}{counts}{format_seconds(self.seconds):>10}{format_seconds(before):>10}"

    def problems(self) -> Iterator[str]:
        if self.exists and not self.cases:
            yield f"{self.name.upper()}: NOTHING RAN"
        if self.failed:
            yield f"{self.name.upper()}: {self.failed} FAILED"
        if self.skipped:
            yield f"{self.name.upper()}: {self.skipped} SKIPPED"


def main(tests: Path, reports: Path, seconds_file: Path, caches: str, total: float) -> int:
    tiers = [read(name, tests / folder, reports / f"{name}.xml") for name, folder in FOLDERS.items()]
    seconds = json.loads(seconds_file.read_text(encoding="utf-8")) if seconds_file.exists() else {}
    before = seconds.get(caches, {})
    print(HEADER)
    print(*(tier.row(before.get(tier.name)) for tier in tiers), sep="\n")
    print(f"{TOTAL:<50}{format_seconds(total):>10}{format_seconds(before.get(TOTAL)):>10}")
    seconds[caches] = {tier.name: round(tier.seconds) for tier in tiers} | {TOTAL: round(total)}
    (reports / "seconds.json").write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
    problems = [problem for tier in tiers for problem in tier.problems()]
    problems += [f"NO TIER: {folder.name}" for folder in sorted(tests.iterdir()) if has_no_tier(folder)]
    print("", *problems, sep="\n")
    if total > LIMITS_SECONDS[caches]:
        limit = format_seconds(LIMITS_SECONDS[caches])
        print(f"OVER THE LIMIT: {format_seconds(total)} s of {limit} with {caches} caches")
    return 1 if problems else 0


def read(name: str, folder: Path, report: Path) -> Tier:
    suites = list(ET.parse(report).iter("testsuite")) if report.exists() else []  # noqa: S314 pytest wrote it
    cases = [case for suite in suites for case in suite.iter("testcase")]
    date = suites[0].get("timestamp", "")[:10] if suites else ""
    return Tier(name, folder, cases, sum(float(suite.get("time", 0)) for suite in suites), date)


def has_no_tier(folder: Path) -> bool:
    return folder.name not in {*FOLDERS.values(), *WITH_UNIT} and has_tests(folder)


def has_tests(folder: Path) -> bool:
    return any(folder.glob("**/test_*.py"))


def format_seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f}"


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), sys.argv[4], float(sys.argv[5])))
