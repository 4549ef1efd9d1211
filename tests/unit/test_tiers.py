"""`.ci/tiers.py` decides whether a run passed: a skipped test or a tier that never ran must not look like success."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "tiers.py"
UNIT = '<testcase classname="tests.unit.test_lru" name="test_a" time="0.5"/>'
INTEGRATION = '<testcase classname="tests.integration.test_writes" name="test_b" time="1.5"/>'
CLUSTER = '<testcase classname="tests.cluster.test_faults" name="test_c" time="2.5"/>'
NOT_COLLECTED = '<testcase classname="" name="tests.unit.test_lru"><error/></testcase>'


def told(folder: Path, *cases: str, embedded: str = INTEGRATION, cluster: str = CLUSTER) -> tuple[int, str]:
    reports = [folder / "main.xml", folder / "embedded.xml", folder / "cluster.xml"]
    for report, told in zip(reports, ("".join(cases), embedded, cluster), strict=True):
        report.write_text(f"<testsuites>{told}</testsuites>")
    for tier in ("unit", "integration", "cluster"):
        (folder / tier).mkdir()
        (folder / tier / "test_something.py").touch()
    command = [sys.executable, *map(str, (SCRIPT, folder, *reports))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own script
    return run.returncode, run.stdout


def test_a_run_in_which_every_tier_that_exists_passed_is_a_success(tmp_path: Path) -> None:
    code, table = told(tmp_path, UNIT, INTEGRATION)
    assert code == 0
    assert "unit                  1        1        0        0       0.5" in table


@pytest.mark.parametrize(
    ("cases", "complaint"),
    [
        ([UNIT.replace("/>", "><failure/></testcase>"), INTEGRATION], "UNIT: 1 FAILED"),
        ([UNIT, INTEGRATION.replace("/>", "><skipped/></testcase>")], "TESTCONTAINERS: 1 SKIPPED"),
        ([UNIT, INTEGRATION, NOT_COLLECTED], "UNIT: 1 FAILED"),
        ([UNIT], "TESTCONTAINERS: NOTHING RAN"),
    ],
)
def test_what_did_not_pass_is_told_and_fails_the_run(tmp_path: Path, cases: list[str], complaint: str) -> None:
    code, table = told(tmp_path, *cases)
    assert (code, table.strip().splitlines()[-1]) == (1, complaint)


@pytest.mark.parametrize("missing", ["embedded", "cluster"])
def test_a_missing_report_fails_the_run(tmp_path: Path, missing: str) -> None:
    assert told(tmp_path, UNIT, INTEGRATION, **{missing: ""})[0] == 1
