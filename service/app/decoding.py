"""The decoders of documents and of messages, with the limits and formats of the settings."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from service.decoding.decoder import Decoder, DecodingRules
from service.decoding.field_mapping import FieldMapping
from service.entities.message_format import MessageFormat, accepted_formats
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
