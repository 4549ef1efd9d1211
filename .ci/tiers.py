"""Prints by tier what pytest's junit reports say; exits 1 if anything failed, was skipped, or didn't run but is there.

Usage: tiers.py TESTS_FOLDER MAIN_REPORT EMBEDDED_REPORT CLUSTER_REPORT. A tier follows from the folder of its tests;
the second report is of `tests/integration` on this machine's own processes, the third of `tests/cluster`.
"""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDERS = {
    "unit": "unit",
    "testcontainers": "integration",
    "chart": "chart",
    "cluster": "cluster",
    "faults": "faults",
    "fuzz": "fuzz",
    "browser": "browser",
    "Prometheus": "prometheus",
}


@dataclass(frozen=True, slots=True)
class Tier:
    name: str
    folder: Path
    cases: list[ET.Element]

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
    def seconds(self) -> float:
        return sum(float(case.get("time", 0)) for case in self.cases)

    @property
    def exists(self) -> bool:
        return any(self.folder.glob("**/test_*.py"))

    def row(self) -> str:
        if not self.exists:
            return f"{self.name:<16}not yet"
        return (
            f"{self.name:<16}{len(self.cases):>7}{self.passed:>9}{self.failed:>9}{self.skipped:>9}{self.seconds:>10.1f}"
        )

    def complaints(self) -> Iterator[str]:
        if self.exists and not self.cases:
            yield f"{self.name.upper()}: NOTHING RAN"
        if self.failed:
            yield f"{self.name.upper()}: {self.failed} FAILED"
        if self.skipped:
            yield f"{self.name.upper()}: {self.skipped} SKIPPED"


def main(tests: Path, main_report: Path, embedded_report: Path, cluster_report: Path) -> int:
    cases = read(main_report) + read(cluster_report)
    tiers = [
        Tier(name, tests / folder, [case for case in cases if is_in(folder, case)]) for name, folder in FOLDERS.items()
    ]
    tiers.append(Tier("embedded", tests / "integration", read(embedded_report)))
    print(f"\n{'tier':<16}{'ran':>7}{'passed':>9}{'failed':>9}{'skipped':>9}{'seconds':>10}")
    print(*(tier.row() for tier in tiers), sep="\n")
    complaints = [complaint for tier in tiers for complaint in tier.complaints()]
    print("", *complaints, sep="\n")
    return 1 if complaints else 0


def read(report: Path) -> list[ET.Element]:
    return list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 pytest wrote it


def is_in(folder: str, case: ET.Element) -> bool:
    """`tests.unit.test_lru` stands in `classname`, or in `name` where the file could not be collected."""
    return (case.get("classname") or case.get("name") or "").startswith(f"tests.{folder}.")


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:5])))
