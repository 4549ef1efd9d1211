"""A batch has a span, and each message whose producer sampled its trace has one in that trace."""

from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.entities.dead_letter import DeadLetter, Reason
from service.entities.dead_letter_headers import Headers
from service.entities.record import Record
from service.handler.kafka.consumer.reports.tracing import MAX_MESSAGES, traced
from service.usecases.batch import Batch, ConsumedOrder
from service.usecases.outcome import Outcome
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import versioned

TRACE, PARENT = "a" * 32, "b" * 16
SAMPLED: Headers = [("traceparent", f"00-{TRACE}-{PARENT}-01".encode())]
UNSAMPLED: Headers = [("traceparent", f"00-{TRACE}-{PARENT}-00".encode())]


class Spans:
    """Ended spans, and a `write` that makes them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = provider.get_tracer("test")

    def write(self, batch: Batch, write: Callable[[Batch], Outcome] | None = None) -> Outcome:
        return traced(self._tracer, write or (lambda _: Outcome(StoreCounts())))(batch)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def batch_of(*headers: Headers | None) -> Batch:
    """Return a batch of one order for each of these headers."""
    batch = Batch()
    for offset, each in enumerate(headers):
        record = Record("orders", 2, offset, 1_000, None, b"{}", each)
        batch.track(record)
        batch.add_order(ConsumedOrder(versioned(offset), record))
    return batch


def dead_letter(batch: Batch, offset: int) -> DeadLetter:
    return DeadLetter(batch.orders[offset].record, Reason.REJECTED, "23514 at orders")


def hex_ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.parent is not None
    return f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}"


def test_the_span_of_a_batch_counts_what_became_of_its_messages(spans: Spans) -> None:
    batch = batch_of([], [], [])
    outcome = Outcome(
        StoreCounts(new=1, replaced=2, unchanged=3, stale=4, erased=5, expired=6), [dead_letter(batch, 0)]
    )
    assert spans.write(batch, lambda _: outcome) is outcome
    (span,) = spans.named("store orders")
    assert span.kind is SpanKind.CONSUMER
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": 3,
        "orders.new": 1,
        "orders.replaced": 2,
        "orders.unchanged": 3,
        "orders.stale": 4,
        "orders.erased": 5,
        "orders.expired": 6,
        "orders.dead_letters": 1,
    }


def test_a_sampled_message_has_a_span_in_its_producers_trace_that_is_linked_with_the_batch(spans: Spans) -> None:
    spans.write(batch_of([], SAMPLED))
    (batch,), (message,) = spans.named("store orders"), spans.named("process order")
    assert hex_ids(message) == (TRACE, PARENT)
    assert [link.context for link in message.links] == [batch.context]
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [TRACE]
    assert message.attributes == {
        "messaging.system": "kafka",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 1,
    }
    assert (message.kind, message.status.status_code) == (SpanKind.CONSUMER, StatusCode.UNSET)


def test_the_span_of_a_message_includes_the_time_in_which_its_batch_was_stored(spans: Spans) -> None:
    spans.write(batch_of(SAMPLED))
    (batch,), (message,) = spans.named("store orders"), spans.named("process order")
    assert message.start_time is not None
    assert batch.start_time is not None
    assert message.start_time <= batch.start_time


@pytest.mark.parametrize(
    "headers", [None, [], UNSAMPLED, [("traceparent", b"")], [("traceparent", None)], [("traceparent", b"\xff")]]
)
def test_other_messages_have_no_span(spans: Spans, headers: Headers | None) -> None:
    spans.write(batch_of(headers))
    assert spans.named("process order") == []
    assert len(spans.named("store orders")) == 1


def test_the_last_of_several_trace_headers_counts(spans: Spans) -> None:
    spans.write(batch_of([*UNSAMPLED, *SAMPLED]))
    assert len(spans.named("process order")) == 1


def test_a_dead_letter_has_a_span_with_its_reason_inside_that_of_its_message(spans: Spans) -> None:
    batch = batch_of(SAMPLED, SAMPLED)
    spans.write(batch, lambda _: Outcome(StoreCounts(new=1), [dead_letter(batch, 1)]))
    (dead,) = spans.named("dead-letter order")
    (message,) = (span for span in spans.named("process order") if span.status.status_code is StatusCode.ERROR)
    assert dead.parent == message.context
    assert (dead.kind, message.status.description) == (SpanKind.PRODUCER, "rejected")
    assert dead.attributes is not None
    assert (dead.attributes["messaging.kafka.offset"], dead.attributes["orders.reason"]) == (1, "rejected")
    assert dead.attributes["orders.detail"] == "23514 at orders"


def test_a_message_rejected_by_the_decoder_is_traced_too(spans: Spans) -> None:
    batch = Batch()
    record = Record("orders", 2, 0, 1_000, None, b"{", SAMPLED)
    batch.add_dead_letter(DeadLetter(record, Reason.UNDECODABLE, "malformed JSON"))
    spans.write(batch, lambda each: Outcome(StoreCounts(), each.dead_letters))
    assert len(spans.named("dead-letter order")) == 1


def test_only_some_messages_of_a_large_batch_have_a_span(spans: Spans) -> None:
    spans.write(batch_of(*[SAMPLED] * (MAX_MESSAGES + 2)))
    assert len(spans.named("process order")) == MAX_MESSAGES


def test_an_error_of_the_write_is_raised_and_recorded_in_the_span_of_the_batch(spans: Spans) -> None:
    def fail(_: Batch) -> Outcome:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        spans.write(batch_of(SAMPLED), fail)
    (span,) = spans.named("store orders")
    assert span.status.status_code is StatusCode.ERROR
    assert spans.named("process order") == []
