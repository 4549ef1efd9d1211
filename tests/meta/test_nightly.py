"""`.ci/nightly.py` records the results of each tier that ran, from which docs/nightly.md is generated."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "nightly.py"
MEASURED = '<properties><property name="measured" value="1 → 6 → 1"/></properties>'
PASSED = f'<testcase classname="tests.cluster.test_x" name="test_a">{MEASURED}</testcase>'
FAILED = '<testcase classname="tests.cluster.test_x" name="test_b"><failure/></testcase>'
INTERRUPTED = '<testcase time="9.0"/>'
SKIPPED = '<testcase classname="tests.cluster.test_x" name="test_c"><skipped/></testcase>'
FUZZ = {"commit": "1234567", "seconds": 3_600, "tests": {"test_y::test_d": "passed"}, "measured": {}}
CLUSTER = {
    "commit": "1234567",
    "date": "2026-11-29",
    "seconds": 900,
    "tests": {"test_x::test_a": "failed", "test_x::test_z": "passed"},
    "measured": {"test_x::test_a": "1 → 5 → 1", "test_x::test_z": "3 s"},
}
EARLIER = {"fuzz": [FUZZ], "cluster": [CLUSTER]}
RUN = {
    "commit": "89abcde",
    "date": "2026-11-30",
    "seconds": 600,
    "tests": {"test_x::test_a": "passed"},
    "measured": {"test_x::test_a": "1 → 6 → 1"},
}


def run_nightly(
    tmp_path: Path, cases: str, extent: str = "whole", tier: str = "cluster", ran: str = "cluster"
) -> tuple[int, str, dict[str, Any]]:
    tests, reports, results = tmp_path / "tests", tmp_path / "reports", tmp_path / "results.json"
    for each in ("cluster", "fuzz"):
        (tests / each).mkdir(parents=True)
        (tests / each / "test_something.py").touch()
    reports.mkdir()
    suite = f'<testsuite time="600.4" timestamp="2026-11-30T04:00:00.0+00:00">{cases}</testsuite>'
    (reports / f"{ran}.xml").write_text(f"<testsuites>{suite}</testsuites>", encoding="utf-8")
    results.write_text(json.dumps(EARLIER), encoding="utf-8")
    command = [sys.executable, *map(str, (SCRIPT, tests, reports, results)), "89abcde", extent, tier]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own script
    return run.returncode, run.stdout, json.loads(results.read_text(encoding="utf-8"))


def test_a_whole_run_replaces_those_before_it_and_other_tiers_keep_their_results(tmp_path: Path) -> None:
    code, table, results = run_nightly(tmp_path, PASSED)
    assert code == 0
    assert "cluster               1        1        0        0       600       900" in table
    assert results == {"fuzz": [FUZZ], "cluster": [RUN]}


def test_a_part_replaces_only_the_results_of_the_tests_that_it_ran(tmp_path: Path) -> None:
    _, _, results = run_nightly(tmp_path, PASSED, "part")
    other = CLUSTER | {"tests": {"test_x::test_z": "passed"}, "measured": {"test_x::test_z": "3 s"}}
    assert results == {"fuzz": [FUZZ], "cluster": [other, RUN]}


def test_an_interrupted_run_keeps_the_results_of_the_tests_that_ended(tmp_path: Path) -> None:
    _, _, results = run_nightly(tmp_path, PASSED + INTERRUPTED, "part")
    assert results["cluster"][-1] == RUN


def test_a_part_leaves_no_run_without_tests(tmp_path: Path) -> None:
    _, _, results = run_nightly(tmp_path, PASSED + PASSED.replace("test_a", "test_z"), "part")
    assert [run["commit"] for run in results["cluster"]] == ["89abcde"]


@pytest.mark.parametrize(
    ("cases", "complaint", "outcomes"),
    [
        (PASSED + FAILED, "CLUSTER: 1 FAILED", ["passed", "failed"]),
        (PASSED + SKIPPED, "CLUSTER: 1 SKIPPED", ["passed", "skipped"]),
    ],
)
def test_a_failed_or_skipped_test_is_recorded_and_fails_the_run(
    tmp_path: Path, cases: str, complaint: str, outcomes: list[str]
) -> None:
    code, table, results = run_nightly(tmp_path, cases)
    assert (code, table.strip().splitlines()[-1]) == (1, complaint)
    assert list(results["cluster"][0]["tests"].values()) == outcomes


def test_a_tier_without_a_report_fails_the_run_and_keeps_its_result(tmp_path: Path) -> None:
    code, table, results = run_nightly(tmp_path, PASSED, tier="fuzz")
    assert (code, table.strip().splitlines()[-1]) == (1, "FUZZ: NOTHING RAN")
    assert results == EARLIER


def test_the_cluster_tests_on_another_version_of_kubernetes_have_results_of_their_own(tmp_path: Path) -> None:
    tier = "kubernetes-1.37"
    code, _, results = run_nightly(tmp_path, PASSED, tier=tier, ran=tier)
    assert (code, results) == (0, EARLIER | {tier: [RUN]})
    code, table, _ = run_nightly(tmp_path / "nothing", PASSED, tier=tier)
    assert (code, table.strip().splitlines()[-1]) == (1, "KUBERNETES-1.37: NOTHING RAN")


@pytest.mark.parametrize("file", [".ci/nightly", ".github/workflows/nightly.yml", "docs/nightly.md"])
def test_each_other_version_of_kubernetes_is_a_tier(file: str) -> None:
    modules = (ROOT / "tests" / "cluster" / "kubernetes").glob("go-*.mod")
    tiers = re.findall(r"kubernetes-[\d.]*\d", (ROOT / file).read_text(encoding="utf-8"))
    assert {*tiers} == {module.stem.replace("go-", "kubernetes-") for module in modules}
