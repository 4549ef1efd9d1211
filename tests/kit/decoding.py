"""A decoder, and documents for it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from service.decoding.decoder import Decoder, DecodingRules
from service.decoding.field_mapping import NO_MAPPING, FieldMapping
from service.entities.message_format import FormatChoice, MessageFormat, accepted_formats
from service.entities.order import Order
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.confluent import ConfluentWireFormat, ConfluentWithoutRegistry
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.handler.kafka.registry.schemas import SchemaCache
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.policies import decoding_rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CITY = "delivery.city"


class CountingDecoder:
    """A decoder and what it counted."""

    def __init__(self, rules: DecodingRules | None = None) -> None:
        self.unknown = 0
        self.coerced = 0
        self.mismatches: Counter[str] = Counter()
        self._decoder = Decoder(
            rules or decoding_rules(),
            on_unknown=self._add_unknown,
            on_mismatch=self._add_mismatch,
            on_coerced=self._add_coerced,
            now=lambda: NOW,
        )

    def decode(self, value: bytes) -> Order:
        return self._decoder.decode(value)

    def decode_object(self, document: Mapping[str, Any]) -> Order:
        return self._decoder.decode_object(document)

    def rejection(self, value: bytes) -> DocumentRejected:
        with pytest.raises(DocumentRejected) as rejected:
            self.decode(value)
        return rejected.value

    def _add_unknown(self, count: int) -> None:
        self.unknown += count

    def _add_coerced(self, count: int) -> None:
        self.coerced += count

    def _add_mismatch(self, path: str) -> None:
        self.mismatches[path] += 1


def message_decoder(
    choice: FormatChoice = "auto",
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    count: Mapping[MessageFormat, Callable[[], None]] | None = None,
    schemas: SchemaCache | None = None,
    mapping: FieldMapping = NO_MAPPING,
) -> MessageDecoder:
    rules = decoding_rules(mapping=mapping)
    decoder = Decoder(rules, on_unknown=lambda _: None, on_mismatch=lambda _: None, on_coerced=lambda _: None, now=now)
    not_counted = dict.fromkeys(MessageFormat, lambda: None)
    return MessageDecoder(
        decoder,
        accepted_formats(choice),
        max_bytes=rules.max_bytes,
        count=count or not_counted,
        confluent=ConfluentWireFormat(schemas.reader) if schemas else ConfluentWithoutRegistry(),
    )


def encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def with_text(path: str, token: bytes) -> bytes:
    """Put the JSON text `token` where the sample has its value at `path`."""
    return encoded(changed(path, "<token>")).replace(b'"<token>"', token)


def changed(path: str, value: Any) -> Document:
    document = order_document()
    container, key = located(document, path)
    container[key] = value
    return document


def located(document: Any, path: str) -> tuple[Any, Any]:
    *parents, key = [
        int(step) if step.isdigit() else step for step in path.replace("[", ".").replace("]", "").split(".")
    ]
    for step in parents:
        document = document[step]
    return document, key


def leaves(node: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each text and number of a document."""
    match node:
        case dict():
            for name, child in node.items():
                yield from leaves(child, f"{path}.{name}".lstrip("."))
        case list():
            for index, child in enumerate(node):
                yield from leaves(child, f"{path}[{index}]")
        case _:
            yield path


LEAVES = list(leaves(SAMPLE))
