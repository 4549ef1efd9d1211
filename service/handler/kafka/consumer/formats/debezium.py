"""Debezium's change events and outbox messages.

A change event is `{"op": …, "before": …, "after": …}`, or that as the payload of a Connect envelope. Its document is
the row after the change: the order's fields, or the `payload` column of an outbox table. The outbox event router
sends that column alone, which may be JSON text in a string. Without the router, a row keeps its other columns.
"""

from typing import Final

from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.document import RawMessage
from service.handler.kafka.consumer.formats.envelope import NULL, Envelope, read_envelope, unquoted
from service.handler.kafka.registry.reader import RawDocument, undecodable

_WITH_ROW: Final = frozenset({b'"c"', b'"u"', b'"r"'})
"""Create, update, and read (a snapshot)."""
_WITHOUT_ROW: Final = frozenset({b'"d"', b'"t"'})
"""Delete and truncate."""


class Debezium:
    """Comes before ConnectEnvelope, which also recognizes a change event with a schema."""

    format = MessageFormat.DEBEZIUM

    def describe(self, message: RawMessage) -> str | None:
        is_text = unquoted(message.value) != message.value
        if is_text or _change_event(message.envelope) or _is_outbox_row(message.envelope):
            return MessageFormat.DEBEZIUM.description
        return None

    def document(self, message: RawMessage) -> RawDocument | None:
        if event := _change_event(message.envelope):
            return _row_after(event)
        return _document_in_row(message.value)


def _change_event(envelope: Envelope) -> Envelope | None:
    for event in (envelope, read_envelope(envelope["payload"]) if "payload" in envelope else {}):
        if "op" in event and ("after" in event or "before" in event):
            return event
    return None


def _is_outbox_row(envelope: Envelope) -> bool:
    return "payload" in envelope and "schema" not in envelope


def _row_after(event: Envelope) -> RawDocument | None:
    operation, row = event["op"], event.get("after", NULL)
    if operation in _WITHOUT_ROW:
        return None
    if operation not in _WITH_ROW:
        raise undecodable("Debezium change event with an unknown op")
    if row == NULL:
        raise undecodable("Debezium change event without a row in after")
    return _document_in_row(row)


def _document_in_row(row: bytes) -> bytes:
    envelope = read_envelope(row)
    return unquoted(envelope["payload"] if _is_outbox_row(envelope) else row)
