"""`.ci/nightly.py` records the results of each tier that ran, from which docs/nightly.md is generated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "nightly.py"
MEASURED = '<properties><property name="measured" value="1 → 6 → 1"/></properties>'
PASSED = f'<testcase classname="tests.cluster.test_x" name="test_a">{MEASURED}</testcase>'
FAILED = '<testcase classname="tests.cluster.test_x" name="test_b"><failure/></testcase>'
SKIPPED = '<testcase classname="tests.cluster.test_x" name="test_c"><skipped/></testcase>'
EARLIER = {"fuzz": {"commit": "1234567", "seconds": 3_600}}


def run_nightly(tmp_path: Path, cases: str, *tiers: str) -> tuple[int, str, dict[str, Any]]:
    tests, reports, results = tmp_path / "tests", tmp_path / "reports", tmp_path / "results.json"
    for tier in ("cluster", "fuzz"):
        (tests / tier).mkdir(parents=True)
        (tests / tier / "test_something.py").touch()
    reports.mkdir()
    suite = f'<testsuite time="600.4" timestamp="2026-11-30T04:00:00.0+00:00">{cases}</testsuite>'
    (reports / "cluster.xml").write_text(f"<testsuites>{suite}</testsuites>", encoding="utf-8")
    results.write_text(json.dumps(EARLIER), encoding="utf-8")
    command = [sys.executable, *map(str, (SCRIPT, tests, reports, results)), "89abcde", *tiers]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own script
    return run.returncode, run.stdout, json.loads(results.read_text(encoding="utf-8"))


def test_counts_figures_and_the_commit_are_recorded_and_other_tiers_keep_their_results(tmp_path: Path) -> None:
    code, table, results = run_nightly(tmp_path, PASSED, "cluster")
    assert code == 0
    assert "cluster               1        1        0        0       600" in table
    counts = {"ran": 1, "failed": 0, "skipped": 0, "seconds": 600}
    cluster = {"commit": "89abcde", "date": "2026-11-30", **counts, "measured": {"test_a": "1 → 6 → 1"}}
    assert results == EARLIER | {"cluster": cluster}


@pytest.mark.parametrize(
    ("cases", "complaint", "failed", "skipped"),
    [(PASSED + FAILED, "CLUSTER: 1 FAILED", 1, 0), (PASSED + SKIPPED, "CLUSTER: 1 SKIPPED", 0, 1)],
)
def test_a_failed_or_skipped_test_is_recorded_and_fails_the_run(
    tmp_path: Path, cases: str, complaint: str, failed: int, skipped: int
) -> None:
    code, table, results = run_nightly(tmp_path, cases, "cluster")
    assert (code, table.strip().splitlines()[-1]) == (1, complaint)
    assert (results["cluster"]["failed"], results["cluster"]["skipped"]) == (failed, skipped)


def test_a_tier_without_a_report_fails_the_run_and_keeps_its_result(tmp_path: Path) -> None:
    code, table, results = run_nightly(tmp_path, PASSED, "fuzz")
    assert (code, table.strip().splitlines()[-1]) == (1, "FUZZ: NOTHING RAN")
    assert results == EARLIER
