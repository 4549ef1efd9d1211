"""Every format runs in every scenario of tests/faults/test_formats.py."""

from collections.abc import Callable
from typing import Any

import pytest

from generator.encodings import KINDS
from generator.formats import FORMATS, MIXED, REGISTRY_FORMATS
from service.entities.message_format import MessageFormat
from tests.faults import test_formats
from tests.faults.checker import CheckResult
from tests.faults.formats import LABELS
from tests.faults.rotation import choice
from tests.faults.table import Line, rendered, rendered_by_format

SCENARIOS: dict[str, Callable[..., Any]] = {
    name: function for name, function in vars(test_formats).items() if name.startswith("test_")
}


def test_every_format_of_the_generator_has_scenarios() -> None:
    assert {*LABELS} == {*FORMATS, *REGISTRY_FORMATS} - {MIXED}
    assert {*REGISTRY_FORMATS} == {*KINDS}


def test_every_format_of_the_service_is_generated() -> None:
    assert {*LABELS.values()} == {*MessageFormat}


def test_the_scenarios_are_complete() -> None:
    assert {*SCENARIOS} == {
        "test_without_a_fault", "test_bad_messages", "test_the_registry_is_restarted", "test_postgresql_is_restarted",
        "test_a_member_is_killed",
    }  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_runs_with_every_format(name: str) -> None:
    marks = [mark for mark in SCENARIOS[name].pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert [mark.args for mark in marks] == [("message_format", LABELS)]


def test_every_format_with_a_schema_is_selected_by_some_commit() -> None:
    commits = [f"{number:040x}" for number in range(6 * len(REGISTRY_FORMATS))]
    for turn_and_seed in range(6):
        assert {choice(REGISTRY_FORMATS, each) for each in commits[turn_and_seed::6]} == {*REGISTRY_FORMATS}


def test_the_table_shows_which_pair_did_not_run() -> None:
    lines = [
        Line("outage", 1, CheckResult(produced=1_000), None, "avro"),
        Line("outage", 2, CheckResult(produced=1_000, lost=2), None, "avro"),
        Line("kill", 1, CheckResult(produced=3), None, "json"),
        Line("others", 1, CheckResult(produced=4), None),
    ]
    assert rendered_by_format(lines).splitlines() == [
        "| format |     outage |   kill |",
        "| ------ | ---------: | -----: |",
        "| avro   | 2 of 2,000 |        |",
        "| json   |            | 0 of 3 |",
    ]
    assert "avro" not in rendered(lines)
