"""Encodes dead letters: key and value as they were, and the reason in headers."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec.json import encode

from service.entities.dead_letter import DeadLetter, Stub
from service.entities.dead_letter_headers import Header, Headers, read_origin, read_replays, without_dlq_headers
from service.entities.record import Record
from service.handler.kafka.dead_letters.delivery import Payload
from service.pkg.timestamps import rfc3339

_IS_STUB: Final = (Header.STUB, b"true")


class DeadLetterEncoder:
    """Encodes a dead letter whole, or smaller if the topic rejects its size, so that it does not block the others."""

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id

    def encode(self, dead_letter: DeadLetter) -> Payload[DeadLetter]:
        record = dead_letter.record
        headers = [*without_dlq_headers(record.headers), *self._dlq_headers(dead_letter)]
        return Payload(dead_letter, headers, record.key, record.value)

    @property
    def fallbacks(self) -> tuple[Callable[[DeadLetter], Payload[DeadLetter]], ...]:
        """Encodings of a dead letter that is too large: a stub, then a stub without key and original headers."""
        return self._as_stub, self._as_bare_stub

    def _as_stub(self, dead_letter: DeadLetter) -> Payload[DeadLetter]:
        whole = self.encode(dead_letter)
        return whole._replace(headers=[*whole.headers, _IS_STUB], value=_stub(dead_letter.record))

    def _as_bare_stub(self, dead_letter: DeadLetter) -> Payload[DeadLetter]:
        return Payload(dead_letter, [*self._dlq_headers(dead_letter), _IS_STUB], None, _stub(dead_letter.record))

    def _dlq_headers(self, dead_letter: DeadLetter) -> Headers:
        record = dead_letter.record
        origin = read_origin(record.headers) or record.coordinates
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
            Header.REPLAYS: read_replays(record.headers),
        }
        return [(name, str(value).encode()) for name, value in added.items()]


def _stub(record: Record) -> bytes:
    value = record.value or b""
    digest = hashlib.sha256(value).hexdigest()
    return encode(Stub(record.topic, record.partition, record.offset, len(value), digest))
