"""Prints by tier what pytest's junit reports say, beside the last run's seconds.

Exits 1 if anything failed, was skipped, or didn't run but is there.

Usage: tiers.py TESTS_FOLDER REPORTS_FOLDER KEPT_SECONDS CACHES TOTAL_SECONDS. REPORTS_FOLDER holds NAME.xml for each
tier and gets seconds.json: KEPT_SECONDS with this run's instead of the last one's with the same CACHES, warm or cold.
"""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDERS = {
    "unit": "unit",  # and the folders of WITH_UNIT
    "testcontainers": "integration",
    "embedded": "integration",
    "own": "integration",
    "chart": "chart",
    "cluster": "cluster",
    "faults": "faults",
    "fuzz": "fuzz",
    "browser": "browser",
    "Prometheus": "prometheus",
}
WITH_UNIT = {"meta"}
"""Folders that are run and counted with tests/unit."""
TOTAL = "all of it"
LIMITS = {"warm": 45 * 60, "cold": 60 * 60}


@dataclass(frozen=True, slots=True)
class Tier:
    name: str
    folder: Path
    cases: list[ET.Element]
    seconds: float
    """From its start to its end, whatever ran beside it."""

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
            return f"{self.name:<16}not yet"
        counts = f"{len(self.cases):>7}{self.passed:>9}{self.failed:>9}{self.skipped:>9}"
        return f"{self.name:<16}{counts}{told(self.seconds):>10}{told(before):>10}"

    def complaints(self) -> Iterator[str]:
        if self.exists and not self.cases:
            yield f"{self.name.upper()}: NOTHING RAN"
        if self.failed:
            yield f"{self.name.upper()}: {self.failed} FAILED"
        if self.skipped:
            yield f"{self.name.upper()}: {self.skipped} SKIPPED"


def main(tests: Path, reports: Path, kept: Path, caches: str, total: float) -> int:
    tiers = [read(name, tests / folder, reports / f"{name}.xml") for name, folder in FOLDERS.items()]
    seconds = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    before = seconds.get(caches, {})
    print(f"\n{'tier':<16}{'ran':>7}{'passed':>9}{'failed':>9}{'skipped':>9}{'seconds':>10}{'before':>10}")
    print(*(tier.row(before.get(tier.name)) for tier in tiers), sep="\n")
    print(f"{TOTAL:<50}{told(total):>10}{told(before.get(TOTAL)):>10}")
    seconds[caches] = {tier.name: round(tier.seconds) for tier in tiers} | {TOTAL: round(total)}
    (reports / "seconds.json").write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
    complaints = [complaint for tier in tiers for complaint in tier.complaints()]
    complaints += [f"NO TIER: {folder.name}" for folder in sorted(tests.iterdir()) if is_forgotten(folder)]
    print("", *complaints, sep="\n")
    if total > LIMITS[caches]:
        print(f"OVER THE LIMIT: {told(total)} s of {told(LIMITS[caches])} with {caches} caches")
    return 1 if complaints else 0


def read(name: str, folder: Path, report: Path) -> Tier:
    suites = list(ET.parse(report).iter("testsuite")) if report.exists() else []  # noqa: S314 pytest wrote it
    cases = [case for suite in suites for case in suite.iter("testcase")]
    return Tier(name, folder, cases, sum(float(suite.get("time", 0)) for suite in suites))


def is_forgotten(folder: Path) -> bool:
    return folder.name not in {*FOLDERS.values(), *WITH_UNIT} and has_tests(folder)


def has_tests(folder: Path) -> bool:
    return any(folder.glob("**/test_*.py"))


def told(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.0f}"


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), sys.argv[4], float(sys.argv[5])))
