"""Every metric is documented and read, and external input adds no series."""

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from reference.metrics import catalog
from service.entities.dead_letter import Reason
from service.handler.http.responses.routing import METHODS
from service.metrics import LABELS, ApiMetrics, ConsumerMetrics
from tests.kit.in_memory_api import InMemoryApi


def test_every_metric_has_the_prefix_a_description_and_documented_labels() -> None:
    assert [each.name for each in catalog() if not each.name.startswith("orders_")] == []
    assert {label for each in catalog() for label in each.labels} == {*LABELS}
    assert [each.name for each in catalog() if not each.meaning.endswith(".")] == []


def test_every_metric_is_read_by_an_alert_or_a_panel() -> None:
    assert [each.name for each in catalog() if not each.readers] == []


def test_a_mode_exports_no_metric_of_the_other_one() -> None:
    consumer, api = ConsumerMetrics(CollectorRegistry()), ApiMetrics(CollectorRegistry())
    both = exported(consumer.registry) & exported(api.registry)
    assert both == {"orders_dependency_up", "orders_build_info"}


def exported(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_each_reason_of_a_dead_letter_has_a_series() -> None:
    samples = [
        sample.labels["reason"]
        for family in ConsumerMetrics(CollectorRegistry()).registry.collect()
        if family.name == "orders_dead_letters"
        for sample in family.samples
        if sample.name.endswith("_total")
    ]
    assert samples == [*Reason]


HOSTILE = InMemoryApi()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "BREW", "OPTIONS"]),
    st.lists(st.text("abc/.%?=&", max_size=12) | st.sampled_from(["orders", "assets", "stats"]), max_size=4),
)
def test_no_request_adds_a_series(method: str, path: list[str]) -> None:
    HOSTILE.client.request(method, "http://testserver/" + "/".join(path))
    handlers = {"none", "/", "/orders", "/orders/{order_uid}", "/stats", "/assets/{path:path}"}
    series = [sample for family in HOSTILE.metrics.registry.collect() for sample in family.samples]
    assert {each.labels["handler"] for each in series if "handler" in each.labels} <= handlers
    assert {each.labels["method"] for each in series if "method" in each.labels} <= {*METHODS, "other"}
