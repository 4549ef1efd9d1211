"""`python -m tests.faults.mutations [WORD]...`: breaks one guarantee at a time; some scenarios must then fail.

Each mutation is applied to a copy of the repository. Exits 1 if a scenario passed in spite of its mutation.
ORDERS_MUTATIONS_TABLE=FILE writes the table into that file, between its markers. With words, only mutations whose
guarantee contains one of them are applied.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

from tests.faults.mutations import api, consumers, dead_letters, formats, kafka, postgres
from tests.faults.mutations.mutation import Mutation
from tests.faults.replace import Replacement
from tests.faults.table import aligned, write_into

ROOT: Final = Path(__file__).parents[3]
COPIED: Final = ("service", "generator", "migrations", "local", "tests", "docs", "pyproject.toml")
SHORT_SETTLE: Final = Replacement("tests/faults/workload.py", "", "SETTLE_SECONDS = ...", "SETTLE_SECONDS = 45.0")
"""Saves time: without a mutation a scenario settles within a few seconds."""
ATTEMPTS: Final = 3
"""Some faults hit the vulnerable moment only in most runs."""
MUTATIONS: Final = (
    *consumers.MUTATIONS,
    *dead_letters.MUTATIONS,
    *formats.MUTATIONS,
    *kafka.MUTATIONS,
    *postgres.MUTATIONS,
    *api.MUTATIONS,
)


def survivors(mutation: Mutation, folder: Path) -> list[str]:
    """Return the scenarios that passed all attempts in spite of the mutation."""
    mutation.replacement.apply(folder)
    left = list(mutation.scenarios)
    for _ in range(ATTEMPTS):
        left = _passed(folder, left) if left else left
    return left


def _passed(folder: Path, scenarios: list[str]) -> list[str]:
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "faulthandler_timeout=0"]
    ids = [f"tests/faults/{scenario}" for scenario in scenarios]
    ended = subprocess.run([*command, *ids], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    cases = {case.get("name"): case for case in ET.parse(report).iter("testcase")}  # noqa: S314 - our own report
    if len(cases) != len(scenarios):
        raise SystemExit(f"not all scenarios ran:\n{ended.stdout}\n{ended.stderr}")
    passed = []
    for scenario in scenarios:
        case = cases[scenario.partition("::")[2]]
        failure, error = case.find("failure"), case.find("error")
        if failure is None:
            passed.append(scenario)
        ended_by = "passed" if failure is None and error is None else _first_line(failure if error is None else error)
        sys.stdout.write(f"  {scenario}: {ended_by[:200]}\n")
    sys.stdout.flush()
    return passed


def _first_line(element: ET.Element | None) -> str:
    return "" if element is None else f"{element.tag}: {element.get('message') or ''}".partition("\n")[0]


def _copied(folder: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    SHORT_SETTLE.apply(folder)
    return folder


def main(words: list[str]) -> int:
    rows, failed = [("without this", "in", "this fails")], 0
    for mutation in MUTATIONS:
        if words and not any(word in mutation.guarantee for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            survived = survivors(mutation, _copied(Path(folder)))
        failed += len(survived)
        killing = [scenario for scenario in mutation.scenarios if scenario not in survived]
        place = f"`{mutation.replacement.path}` {_code(mutation.replacement.function)}".strip()
        rows.append((mutation.guarantee, place, "<br>".join(map(_code, killing))))
        result = f"SURVIVED {', '.join(survived)}" if survived else "killed"
        sys.stdout.write(f"{mutation.guarantee}: {result}\n")
        sys.stdout.flush()
    if table := os.environ.get("ORDERS_MUTATIONS_TABLE"):
        write_into(Path(table), aligned(rows, words=3), "mutations")
    return 1 if failed else 0


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
