"""The decoders of documents and of messages, with the limits and formats of the settings."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from service.decoding.decoder import Decoder, DecodingRules
from service.decoding.field_mapping import FieldMapping
from service.entities.dead_letter import Reason, Violation
from service.entities.message_format import MessageFormat, accepted_formats
from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder

if TYPE_CHECKING:
    from service.config import DocumentSettings


def _ignore(*_: object) -> None: ...


_NOT_COUNTED: Final[Mapping[MessageFormat, Callable[[], None]]] = dict.fromkeys(MessageFormat, _ignore)


def document_decoder(
    document: "DocumentSettings",
    on_unknown: Callable[[int], None] = _ignore,
    on_mismatch: Callable[[str], None] = _ignore,
    on_coerced: Callable[[int], None] = _ignore,
) -> Decoder:
    rules = DecodingRules(
        max_bytes=document.max_message_bytes,
        max_nesting=document.max_nesting,
        max_future=timedelta(seconds=document.max_future),
        amount_mismatch=document.amount_mismatch,
        mapping=FieldMapping(document.aliases, document.defaults, document.coerce),
    )
    return Decoder(
        rules,
        on_unknown=on_unknown,
        on_mismatch=on_mismatch,
        on_coerced=on_coerced,
        now=lambda: datetime.now(UTC),
    )


def message_decoder(
    document: "DocumentSettings", decoder: Decoder, count: Mapping[MessageFormat, Callable[[], None]] = _NOT_COUNTED
) -> MessageDecoder:
    return MessageDecoder(decoder, accepted_formats(document.format), max_bytes=document.max_message_bytes, count=count)


def value_decoder(document: "DocumentSettings") -> Callable[[bytes], Order]:
    """Return a function that decodes a value in any accepted format, and raises DocumentRejected if it has no order."""
    decoder = message_decoder(document, document_decoder(document))

    def decode(value: bytes) -> Order:
        decoded = decoder.decode(Record("", 0, 0, 0, None, value, None))
        if decoded is None:
            raise DocumentRejected(Reason.INVALID, [Violation("", "contains no order")])
        return decoded[0]

    return decode
