"""OpenTelemetry spans of batches and messages. Imported only if tracing is enabled.

Each batch has a span. Each message whose producer sampled its trace has a span in that trace, linked to the batch's
span, and a second one if it is dead-lettered. Attributes are topic, partition, offset and reason, never a value.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.entities.dead_letter import DeadLetter
from service.entities.record import Record
from service.usecases.batch import Batch
from service.usecases.ingest import Write
from service.usecases.outcome import Outcome

MAX_MESSAGES: Final = 128
"""Maximum of message spans per batch; further sampled messages have none."""

_TRACEPARENT: Final = "traceparent"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class _Sampled(NamedTuple):
    record: Record
    context: Context


def traced(tracer: Tracer, write: Write) -> Write:
    """Return `write` with a span for each batch, and for its sampled messages. Runs in the writing thread."""

    def write_traced(batch: Batch) -> Outcome:
        messages = list(islice(_sampled(batch), MAX_MESSAGES))
        links = [_link(message.context) for message in messages]
        started_ns = time.time_ns()
        with tracer.start_as_current_span("store orders", kind=SpanKind.CONSUMER, links=links) as span:
            outcome = write(batch)
            span.set_attributes(_attributes(batch, outcome))
        _trace_messages(tracer, messages, outcome, started_ns, span)
        return outcome

    return write_traced


def _sampled(batch: Batch) -> Iterator[_Sampled]:
    for message in batch.orders + batch.dead_letters:
        context = _context(message.record)
        if context is not None:
            yield _Sampled(message.record, context)


def _context(record: Record) -> Context | None:
    """Return the producer's trace context, or None if there is none or it is not sampled."""
    values = [value for name, value in record.headers or () if name == _TRACEPARENT and value]
    if not values:
        return None
    context = _PROPAGATOR.extract({_TRACEPARENT: values[-1].decode(errors="replace")})
    return context if get_current_span(context).get_span_context().trace_flags.sampled else None


def _attributes(batch: Batch, outcome: Outcome) -> dict[str, int | str]:
    counts = outcome.counts
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.batch.message_count": len(batch),
        "orders.new": counts.new,
        "orders.replaced": counts.replaced,
        "orders.unchanged": counts.unchanged,
        "orders.stale": counts.stale,
        "orders.erased": counts.erased,
        "orders.expired": counts.expired,
        "orders.dead_letters": len(outcome.dead_letters),
    }


def _trace_messages(tracer: Tracer, messages: list[_Sampled], outcome: Outcome, started_ns: int, batch: Span) -> None:
    dead_letters = {dead_letter.record.coordinates: dead_letter for dead_letter in outcome.dead_letters}
    for record, context in messages:
        span = tracer.start_span(
            "process order", context, SpanKind.CONSUMER, _where(record), [Link(batch.get_span_context())], started_ns
        )
        dead_letter = dead_letters.get(record.coordinates)
        if dead_letter is not None:
            _trace_dead_letter(tracer, dead_letter, _where(record), span)
        span.end()


def _trace_dead_letter(tracer: Tracer, dead_letter: DeadLetter, where: Mapping[str, Any], parent: Span) -> None:
    parent.set_status(StatusCode.ERROR, dead_letter.reason)
    attributes = {**where, "orders.reason": dead_letter.reason, "orders.detail": dead_letter.detail}
    tracer.start_span("dead-letter order", set_span_in_context(parent), SpanKind.PRODUCER, attributes).end()


def _where(record: Record) -> dict[str, int | str]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }


def _link(context: Context) -> Link:
    return Link(get_current_span(context).get_span_context())
