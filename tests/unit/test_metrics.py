"""The catalogue of metrics, and its page.

After a change of the catalogue, run `make reference`.
"""

from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from service.entities.dead_letter import Reason
from service.metrics import LABELS, REASONS, Metrics
from tests.unit.handler.http.test_api import ApiFixture

PUBLISHED = Path(__file__).parents[2] / "docs" / "metrics.md"
INTRODUCTION = """\
# Metrics

Consumer and API serve `/metrics` on their admin port (9000). Both export all metrics; each mode
updates its own. Units are part of the names. `service/metrics.py` declares every metric.
prometheus_client adds `process_*` and `python_gc_*`.

| metric | kind | labels | |
|---|---|---|---|
"""
OF_LABELS = """
## Labels

No label holds anything that came from outside: the number of series has a bound, whatever is sent.

| label | values |
|---|---|"""


class Declared(NamedTuple):
    name: str
    kind: str
    labels: list[str]
    meaning: str


def catalogue() -> list[Declared]:
    """Return what every process declares, in the order of `service/metrics.py`."""
    made = {name: each for name, each in vars(Metrics(CollectorRegistry())).items() if name != "registry"}
    return [_declared(each) for each in made.values()]


def _declared(collector: Any) -> Declared:
    (family,) = collector.describe()
    labels = getattr(collector, "_labelnames", None) or getattr(collector, "_labels", [])
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Declared(name, family.type, [*labels], family.documentation)


def published() -> str:
    rows = [f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.meaning} |" for each in catalogue()]
    labels = [f"| {name} | {values} |" for name, values in LABELS.items()]
    return INTRODUCTION + "\n".join([*rows, OF_LABELS, *labels, ""])


def test_the_page_is_that_of_the_catalogue() -> None:
    assert PUBLISHED.read_text() == published()


def test_names_have_the_prefix_and_a_unit_and_every_label_says_what_it_can_be() -> None:
    assert [each.name for each in catalogue() if not each.name.startswith("orders_")] == []
    assert {label for each in catalogue() for label in each.labels} == {*LABELS}
    assert [each.name for each in catalogue() if not each.meaning.endswith(".")] == []


def test_each_reason_of_a_dead_letter_has_its_series() -> None:
    assert set(REASONS) == set(Reason)


HOSTILE = ApiFixture()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "BREW", "OPTIONS"]),
    st.lists(st.text("abc/.%?=&", max_size=12) | st.sampled_from(["orders", "assets", "stats"]), max_size=4),
)
def test_no_request_makes_series_of_its_own(method: str, path: list[str]) -> None:
    HOSTILE.client.request(method, "http://testserver/" + "/".join(path))
    handlers = {"none", "/", "/orders", "/orders/{order_uid}", "/stats", "/assets"}
    series = [sample for family in HOSTILE.metrics.registry.collect() for sample in family.samples]
    assert {each.labels["handler"] for each in series if "handler" in each.labels} <= handlers
    assert {each.labels["method"] for each in series if "method" in each.labels} <= {"GET", "HEAD", "other"}
