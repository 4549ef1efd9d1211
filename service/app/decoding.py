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
from service.handler.kafka.consumer.formats.confluent import ConfluentWireFormat, ConfluentWithoutRegistry
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.handler.kafka.registry.connect import registry_client
from service.handler.kafka.registry.schemas import SchemaCache
from service.usecases.ports.replay import ReadUid

if TYPE_CHECKING:
    from service.config import DocumentSettings, RegistrySettings


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
    document: "DocumentSettings",
    decoder: Decoder,
    count: Mapping[MessageFormat, Callable[[], None]] = _NOT_COUNTED,
    schemas: SchemaCache | None = None,
) -> MessageDecoder:
    """Without `schemas`, the decoder rejects messages in Confluent's wire format."""
    return MessageDecoder(
        decoder,
        accepted_formats(document.format),
        max_bytes=document.max_message_bytes,
        count=count,
        confluent=ConfluentWireFormat(schemas.reader) if schemas else ConfluentWithoutRegistry(),
    )


def value_decoder(document: "DocumentSettings") -> Callable[[bytes], Order]:
    """Return a function that decodes a value in any accepted format, and raises DocumentRejected if it has no order."""
    decoder = message_decoder(document, document_decoder(document))

    def decode(value: bytes) -> Order:
        decoded = decoder.decode(Record("", 0, 0, 0, None, value, None))
        if decoded is None:
            raise DocumentRejected(Reason.INVALID, [Violation("", "contains no order")])
        return decoded[0]

    return decode


def uid_reader(document: "DocumentSettings") -> ReadUid:
    """Return a function that reads dead letters as a consumer without a registry does."""
    decoder = message_decoder(document, document_decoder(document))
    return lambda dead_letter: decoder.read_uid(dead_letter.value or b"", dead_letter.headers)


def schema_cache(registry: "RegistrySettings") -> SchemaCache | None:
    """Return the cache of the registry's schemas; None without a registry. Raises InvalidSettings."""
    if registry.urls is None:
        return None
    client = registry_client(registry)
    from service.handler.kafka.registry.readers import reader_of  # noqa: PLC0415 - needs the extra `registry`, too

    return SchemaCache(
        client.fetch,
        reader_of,
        max_entries=registry.cache_size,
        unknown_id_attempts=registry.unknown_id_attempts,
    )
