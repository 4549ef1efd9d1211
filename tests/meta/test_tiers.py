"""`.ci/tiers.py` decides whether a run passed: a skipped test or a tier that did not run is a failure."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "tiers.py"
PASSED = '<testcase classname="tests.unit.pkg.test_lru" name="test_a" time="0.5"/>'
FAILED = PASSED.replace("/>", "><failure/></testcase>")
SKIPPED = PASSED.replace("/>", "><skipped/></testcase>")
NOT_COLLECTED = '<testcase classname="" name="tests.unit.pkg.test_lru"><error/></testcase>'
BEFORE = {"warm": {"unit": 1_100, "all of it": 2_000}, "cold": {"unit": 7}}
NONE: Mapping[str, str] = {}
FOLDERS = ("unit", "integration", "chart", "cluster", "faults", "fuzz", "browser", "prometheus")
TIERS = (
    "unit",
    "containers",
    "processes",
    "partitioned",
    "own_servers",
    "chart",
    "cluster",
    "faults",
    "fuzz",
    "browser",
    "Prometheus",
)


def run_tiers(
    tmp_path: Path,
    cases: Mapping[str, str] = NONE,
    *,
    total: int = 2_400,
    missing: str = "",
    folders: tuple[str, ...] = FOLDERS,
) -> tuple[int, str]:
    tests, reports, kept = tmp_path / "tests", tmp_path / "reports", tmp_path / "seconds.json"
    reports.mkdir()
    for tier in set(TIERS) - {missing}:
        report = f'<testsuites><testsuite time="1200.4">{cases.get(tier, PASSED)}</testsuite></testsuites>'
        (reports / f"{tier}.xml").write_text(report)
    for folder in folders:
        (tests / folder).mkdir(parents=True)
        (tests / folder / "test_something.py").touch()
    kept.write_text(json.dumps(BEFORE))
    command = [sys.executable, *map(str, (SCRIPT, tests, reports, kept, "warm", total))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own script
    return run.returncode, run.stdout


def test_a_run_succeeds_if_every_tier_passed(tmp_path: Path) -> None:
    code, table = run_tiers(tmp_path)
    assert code == 0
    assert "unit                  1        1        0        0     1,200     1,100" in table
    assert "all of it                                              2,400     2,000" in table


def test_durations_are_written_by_state_of_the_caches(tmp_path: Path) -> None:
    run_tiers(tmp_path)
    seconds = json.loads((tmp_path / "reports" / "seconds.json").read_text())
    assert seconds == {"warm": dict.fromkeys(TIERS, 1_200) | {"all of it": 2_400}, "cold": {"unit": 7}}


def test_a_run_over_the_time_limit_is_reported_and_succeeds(tmp_path: Path) -> None:
    code, table = run_tiers(tmp_path, total=2_701)
    assert (code, table.splitlines()[-1]) == (0, "OVER THE LIMIT: 2,701 s of 2,700 with warm caches")


@pytest.mark.parametrize(
    ("tier", "case", "complaint"),
    [
        ("unit", FAILED, "UNIT: 1 FAILED"),
        ("containers", SKIPPED, "CONTAINERS: 1 SKIPPED"),
        ("unit", PASSED + NOT_COLLECTED, "UNIT: 1 FAILED"),
        ("cluster", "", "CLUSTER: NOTHING RAN"),
        ("processes", "", "PROCESSES: NOTHING RAN"),
    ],
)
def test_a_failed_or_skipped_test_fails_the_run(tmp_path: Path, tier: str, case: str, complaint: str) -> None:
    code, table = run_tiers(tmp_path, {tier: case})
    assert (code, table.strip().splitlines()[-1]) == (1, complaint)


@pytest.mark.parametrize("tier", TIERS)
def test_a_missing_report_fails_the_run(tmp_path: Path, tier: str) -> None:
    assert run_tiers(tmp_path, missing=tier)[0] == 1


def test_tests_that_belong_to_no_tier_fail_the_run(tmp_path: Path) -> None:
    code, table = run_tiers(tmp_path, folders=(*FOLDERS, "performance"))
    assert (code, table.strip().splitlines()[-1]) == (1, "NO TIER: performance")
