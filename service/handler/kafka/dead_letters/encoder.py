"""A dead letter as the topic gets it: key and value byte for byte as they came, and in headers why it is there."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from confluent_kafka import KafkaError
from msgspec.json import encode

from service.entities.dead_letter import (
    DeadLetter,
    Header,
    Headers,
    Origin,
    read_origin,
    read_replays,
    without_dlq_headers,
)
from service.handler.kafka.client.record import Record
from service.pkg.timestamps import rfc3339

TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
_IS_STUB: Final = (Header.STUB, b"true")


def is_for_good(error: KafkaError) -> bool:
    """Tell whether the producer that reports this is to be replaced: some never get anything through again."""
    return bool(error.fatal() or error.code() == KafkaError._MSG_TIMED_OUT)  # noqa: SLF001 - librdkafka's name


class Payload(NamedTuple):
    """A dead letter as it is to be sent."""

    dead_letter: DeadLetter
    headers: Headers
    key: bytes | None
    value: bytes | None


class DeadLetterEncoder:
    """The forms that a dead letter can have, one smaller than the other: nothing may hold up the rest for good."""

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id

    def encode(self, dead_letter: DeadLetter) -> Payload:
        message = dead_letter.message
        headers = [*without_dlq_headers(message.headers), *self._told(dead_letter)]
        return Payload(dead_letter, headers, message.key, message.value)

    @property
    def fallbacks(self) -> tuple[Callable[[DeadLetter], Payload], ...]:
        """Encodings for one that is too large for the topic: a stub, then a stub without key and original headers."""
        return self._as_stub, self._as_bare_stub

    def _as_stub(self, dead_letter: DeadLetter) -> Payload:
        encode = self.encode(dead_letter)
        return encode._replace(headers=[*encode.headers, _IS_STUB], value=_stub(dead_letter.message))

    def _as_bare_stub(self, dead_letter: DeadLetter) -> Payload:
        return Payload(dead_letter, [*self._told(dead_letter), _IS_STUB], None, _stub(dead_letter.message))

    def _told(self, dead_letter: DeadLetter) -> Headers:
        headers: Headers | None = dead_letter.message.headers
        origin = read_origin(headers) or _origin(dead_letter.message)
        added = {
            Header.REASON: dead_letter.reason,
            Header.DETAIL: dead_letter.detail,
            Header.TOPIC: origin.topic,
            Header.PARTITION: origin.partition,
            Header.OFFSET: origin.offset,
            Header.TIMESTAMP: origin.timestamp_ms,
            Header.GROUP: self._group_id,
            Header.FAILED_AT: rfc3339(datetime.now(UTC)),
            Header.ATTEMPTS: dead_letter.attempts,
            Header.REPLAYS: read_replays(headers),
        }
        return [(name, str(value).encode()) for name, value in added.items()]


def _origin(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset, max(record.timestamp_ms, 0))


def _stub(record: Record) -> bytes:
    """Name a message that is larger than the dead-letter topic allows, so that it can be found and recognised."""
    value = record.value or b""
    return encode(
        {
            "original_topic": record.topic,
            "original_partition": record.partition,
            "original_offset": record.offset,
            "size": len(value),
            "sha256": hashlib.sha256(value).hexdigest(),
        }
    )
