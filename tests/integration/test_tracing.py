"""Traces of `orders consumer` as a collector gets them."""

from collections.abc import Iterator

import pytest
from msgspec.json import encode

from tests.collector import Collector, collecting
from tests.factories import SAMPLE, order_document
from tests.harness import Harness, Sent
from tests.waiting import eventually

TRACE, OF_A_BAD_ONE, NOT_SAMPLED = "a" * 32, "b" * 32, "c" * 32
PARENT = "d" * 16


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


def carrying(trace: str, value: bytes, *, sampled: bool = True) -> Sent:
    parent = f"00-{trace}-{PARENT}-0{int(sampled)}"
    return Sent(value, headers=[("traceparent", parent.encode())])


def test_a_trace_leads_from_the_producer_through_the_store_to_the_dead_letter(
    harness: Harness, collector: Collector
) -> None:
    harness.produce(
        carrying(TRACE, encode(order_document(order_uid="traced"))),
        carrying(OF_A_BAD_ONE, b'{"order_uid": "secret-of-an-order"}'),
        carrying(NOT_SAMPLED, encode(order_document(order_uid="untraced")), sampled=False),
    )
    consumer = harness.consumer(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    eventually(lambda: len(harness.dead_letters()) == 1)
    assert consumer.stop() == 0
    good, bad = collector.spans_of(TRACE), collector.spans_of(OF_A_BAD_ONE)
    assert set(good) == {"process order"}
    assert good["process order"].parent_span_id.hex() == PARENT
    assert set(bad) == {"process order", "dead-letter order"}
    assert bad["dead-letter order"].parent_span_id == bad["process order"].span_id
    assert bad["process order"].status.code == 2
    assert collector.spans_of(NOT_SAMPLED) == {}
    batches = [span for span in collector.spans if span.name == "store orders"]
    linked = {link.trace_id.hex() for span in batches for link in span.links}
    assert linked == {TRACE, OF_A_BAD_ONE}
    assert {good["process order"].links[0].span_id} <= {span.span_id for span in batches}
    assert collector.services == {"orders-consumer"}
    (dead_letter,) = harness.dead_letters()
    assert dict(dead_letter.headers() or [])["traceparent"] == f"00-{OF_A_BAD_ONE}-{PARENT}-01".encode()
    for value in (b"secret-of-an-order", SAMPLE["delivery"]["email"].encode(), SAMPLE["delivery"]["name"].encode()):
        assert value not in collector.received


def test_the_service_is_called_what_the_environment_calls_it(harness: Harness, collector: Collector) -> None:
    harness.produce(carrying(TRACE, encode(order_document(order_uid="traced"))))
    consumer = harness.consumer(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces", OTEL_SERVICE_NAME="ours"
    )
    harness.wait_stored({"traced"})
    assert consumer.stop() == 0
    assert collector.services == {"ours"}


def test_a_collector_that_is_away_holds_nothing_up(harness: Harness) -> None:
    harness.produce(carrying(TRACE, encode(order_document(order_uid="traced"))))
    consumer = harness.consumer(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    harness.wait_stored({"traced"})
    assert consumer.stop() == 0


def test_without_a_collector_nothing_of_it_is_loaded(harness: Harness) -> None:
    consumer = harness.consumer(PYTHONVERBOSE="1")
    assert consumer.stop() == 0
    loaded = consumer.log.read_text(errors="replace")
    assert "import 'service.app.consumer'" in loaded
    assert "opentelemetry.sdk" not in loaded
    assert "service.handler.kafka.consumer.tracing'" not in loaded
