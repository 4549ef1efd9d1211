"""Traces of `orders consumer` at a real OTLP collector."""

from collections.abc import Iterator

import pytest
from msgspec.json import encode

from tests.kit.collector import Collector, collecting
from tests.kit.factories import SAMPLE, order_document
from tests.kit.harness import Harness, Sent
from tests.kit.waiting import eventually

TRACE, TRACE_OF_BAD_ORDER, UNSAMPLED_TRACE = "a" * 32, "b" * 32, "c" * 32
PARENT = "d" * 16


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


def traced(trace: str, value: bytes, *, sampled: bool = True) -> Sent:
    parent = f"00-{trace}-{PARENT}-0{int(sampled)}"
    return Sent(value, headers=[("traceparent", parent.encode())])


def test_a_trace_connects_the_producer_with_the_batch_and_the_dead_letter(
    harness: Harness, collector: Collector
) -> None:
    harness.produce(
        traced(TRACE, encode(order_document(order_uid="traced"))),
        traced(TRACE_OF_BAD_ORDER, b'{"order_uid": "secret-of-an-order"}'),
        traced(UNSAMPLED_TRACE, encode(order_document(order_uid="untraced")), sampled=False),
    )
    consumer = harness.consumer(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    eventually(lambda: len(harness.dead_letters()) == 1)
    assert consumer.stop() == 0
    good, bad = collector.spans_of(TRACE), collector.spans_of(TRACE_OF_BAD_ORDER)
    assert set(good) == {"process order"}
    assert good["process order"].parent_span_id.hex() == PARENT
    assert set(bad) == {"process order", "dead-letter order"}
    assert bad["dead-letter order"].parent_span_id == bad["process order"].span_id
    assert bad["process order"].status.code == 2
    assert collector.spans_of(UNSAMPLED_TRACE) == {}
    batches = [span for span in collector.spans if span.name == "store orders"]
    linked = {link.trace_id.hex() for span in batches for link in span.links}
    assert linked == {TRACE, TRACE_OF_BAD_ORDER}
    assert {good["process order"].links[0].span_id} <= {span.span_id for span in batches}
    assert collector.services == {"orders-consumer"}
    (dead_letter,) = harness.dead_letters()
    assert dict(dead_letter.headers() or [])["traceparent"] == f"00-{TRACE_OF_BAD_ORDER}-{PARENT}-01".encode()
    for value in (b"secret-of-an-order", SAMPLE["delivery"]["email"].encode(), SAMPLE["delivery"]["name"].encode()):
        assert value not in collector.received


def test_the_service_name_can_be_set_in_the_environment(harness: Harness, collector: Collector) -> None:
    harness.produce(traced(TRACE, encode(order_document(order_uid="traced"))))
    consumer = harness.consumer(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces", OTEL_SERVICE_NAME="renamed"
    )
    harness.wait_stored({"traced"})
    assert consumer.stop() == 0
    assert collector.services == {"renamed"}


def test_an_unreachable_collector_delays_nothing(harness: Harness) -> None:
    harness.produce(traced(TRACE, encode(order_document(order_uid="traced"))))
    consumer = harness.consumer(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    harness.wait_stored({"traced"})
    assert consumer.stop() == 0


def test_without_a_collector_the_sdk_is_not_imported(harness: Harness) -> None:
    consumer = harness.consumer(PYTHONVERBOSE="1")
    assert consumer.stop() == 0
    loaded = consumer.log.read_text(errors="replace")
    assert "import 'service.app.consumer.command'" in loaded
    assert "opentelemetry.sdk" not in loaded
    assert "service.handler.kafka.consumer.reports.tracing'" not in loaded
