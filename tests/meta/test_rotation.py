"""`make test` runs a third of the fault scenarios; three turns run all."""

from pathlib import Path

import pytest

from tests.faults.rotation import are_named, commit_of, seed_of, third, turn_of

SCENARIOS = [f"scenario-{number}" for number in range(61)]


def test_three_turns_run_every_scenario_once() -> None:
    turns = [third(SCENARIOS, turn) for turn in range(3)]
    assert sorted(scenario for turn in turns for scenario in turn) == sorted(SCENARIOS)
    assert max(map(len, turns)) - min(map(len, turns)) <= 1


def test_the_commit_decides_the_turn() -> None:
    commits = [f"{number:040x}" for number in range(9)]
    assert [turn_of(commit) for commit in commits] == [turn_of(commit) for commit in commits]
    assert {turn_of(commit) for commit in commits} == {0, 1, 2}


def test_the_commit_decides_the_seed_of_each_turn() -> None:
    chosen = {(turn_of(f"{number:040x}"), seed_of(f"{number:040x}")) for number in range(6)}
    assert chosen == {(turn, seed) for turn in range(3) for seed in (1, 2)}


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None


@pytest.mark.parametrize(
    ("arguments", "keyword", "named"),
    [
        (["tests"], "", False),
        (["tests/faults"], "", False),
        (["tests/faults/"], "", False),
        (["tests/unit", "tests/faults"], "", False),
        (["tests/faults/test_api.py"], "", True),
        (["/somewhere/tests/faults/test_api.py"], "", True),
        (["tests/faults/test_api.py::test_oversized_requests_are_rejected"], "", True),
        (["tests/faults"], "frozen", True),
    ],
)
def test_named_scenarios_always_run(arguments: list[str], keyword: str, *, named: bool) -> None:
    assert are_named(arguments, keyword) is named
