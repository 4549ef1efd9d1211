"""Each runbook has the same sections, ends with how to verify that the problem is over, and names existing metrics."""

import re

import pytest

from reference import ROOT
from reference.metrics import catalog

RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "runbooks").glob("orders-*.md")}
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verify"]
SUFFIXES = {"histogram": ["_bucket", "_count", "_sum"]}
METRICS = {f"{each.name}{suffix}" for each in catalog() for suffix in SUFFIXES.get(each.kind, [""])}

each_runbook = pytest.mark.parametrize("name", RUNBOOKS)


@each_runbook
def test_a_runbook_has_the_name_of_its_alert_and_five_sections(name: str) -> None:
    title, *parts = re.split(r"^## .*$", RUNBOOKS[name], flags=re.MULTILINE)
    assert title == f"# {name.title().replace('-', '')}\n\n"
    assert re.findall(r"^## (.*)$", RUNBOOKS[name], re.MULTILINE) == SECTIONS
    assert all(part.strip() for part in parts)


@each_runbook
def test_a_runbook_says_which_output_of_which_command_shows_that_the_problem_is_over(name: str) -> None:
    (section,) = re.findall(r"^## Verify\n\n(.*)", RUNBOOKS[name], re.MULTILINE | re.DOTALL)
    assert re.match(r"[A-Z][^`].*?:\n\n```(promql|sh)\n\S", section, re.DOTALL)


@each_runbook
def test_every_metric_in_a_query_of_a_runbook_exists(name: str) -> None:
    queries = "\n".join(re.findall(r"^```promql\n(.*?)^```", RUNBOOKS[name], re.MULTILINE | re.DOTALL))
    assert set(re.findall(r"\borders_\w+", queries)) - METRICS == set()


def test_metrics_are_found_in_queries() -> None:
    assert {"orders_lag_messages", "orders_batch_seconds_count", "orders_stored_total"} <= METRICS
