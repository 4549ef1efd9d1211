"""The dead-letter topic: takes what can't become an order, byte for byte, and says why in headers."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
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
from service.entities.errors import DeadLettersUnavailable
from service.handler.kafka.record import Record
from service.pkg.stop import Stop, Stopped

_TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
_IS_STUB: Final = (Header.STUB, b"true")
_LOOK_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 5.0
"""How long a stop waits for acknowledgements: what is under way is done once then, and an outage is not waited out."""
_MISSING_TOPIC_MS: Final = 5_000
"""How long librdkafka hopes that an unknown topic appears, before it says so."""

Failure = tuple[DeadLetter, KafkaError]


class Payload(NamedTuple):
    """A letter as it is to be sent."""

    letter: DeadLetter
    headers: Headers
    key: bytes | None
    value: bytes


class DeadLetterProducer:
    """Implements usecases.ports.DeadLetters. For one thread.

    The producer is idempotent and never times a message out by itself, so that a broker that is away for a while costs
    no letter and doubles none.
    """

    def __init__(self, properties: dict[str, Any], *, topic: str, group_id: str, stop: Stop) -> None:
        self._properties = {
            **properties,
            "message.timeout.ms": 0,
            "topic.metadata.propagation.max.ms": _MISSING_TOPIC_MS,
        }
        self._producer: Producer | None = None
        self._topic = topic
        self._group_id = group_id
        self._stop = stop

    def send(self, letters: Sequence[DeadLetter]) -> None:
        failed: list[Failure] = []
        for letter, error in self._deliver([self._whole(letter) for letter in letters]):
            failed += self._deliver_alone(letter) if error.code() in _TOO_LARGE else [(letter, error)]
        if failed:
            unsent = [letter for letter, _ in failed]
            raise DeadLettersUnavailable(f"{self._topic} did not take a message ({failed[0][1].name()})", unsent)

    def close(self) -> None:
        """Forget what was not acknowledged: its offsets are not committed either."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None

    def _deliver_alone(self, letter: DeadLetter) -> list[Failure]:
        """Send whole, or else as a stub: the broker refuses all that the client sent with one that is too large.

        Where key or headers alone are too large, the stub goes without them: nothing may hold up the rest for good.
        """
        failed = self._deliver([self._whole(letter)])
        for smaller in (self._as_stub, self._as_bare_stub):
            if any(error.code() in _TOO_LARGE for _, error in failed):
                failed = self._deliver([smaller(letter)])
        return failed

    def _deliver(self, payloads: list[Payload]) -> list[Failure]:
        """Produce and wait for every acknowledgement; return what was not taken. Raises Stopped."""
        failed: list[Failure] = []
        for payload in payloads:
            self._produce(payload, failed)
        while payloads and self._producer is not None and self._producer.flush(_LOOK_SECONDS):
            if self._stop.is_set() and self._producer.flush(_LAST_SECONDS):
                raise Stopped
        if any(error.fatal() for _, error in failed):
            self.close()
        return failed

    def _produce(self, payload: Payload, failed: list[Failure]) -> None:
        def acknowledge(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append((payload.letter, error))

        if self._producer is None:
            self._producer = Producer(self._properties, logger=logging.getLogger("librdkafka"))
        try:
            self._producer.produce(
                self._topic, payload.value, payload.key, headers=[*payload.headers], on_delivery=acknowledge
            )
        except KafkaException as error:
            failed.append((payload.letter, error.args[0]))
        except BufferError:
            failed.append((payload.letter, KafkaError(KafkaError._QUEUE_FULL)))  # noqa: SLF001 - librdkafka's name

    def _told(self, letter: DeadLetter) -> Headers:
        headers: Headers | None = letter.message.headers
        origin = read_origin(headers) or _origin(letter.message)
        added = {
            Header.REASON: letter.reason,
            Header.DETAIL: letter.detail,
            Header.TOPIC: origin.topic,
            Header.PARTITION: origin.partition,
            Header.OFFSET: origin.offset,
            Header.TIMESTAMP: origin.timestamp_ms,
            Header.GROUP: self._group_id,
            Header.FAILED_AT: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            Header.ATTEMPTS: letter.attempts,
            Header.REPLAYS: read_replays(headers),
        }
        return [(name, str(value).encode()) for name, value in added.items()]

    def _whole(self, letter: DeadLetter) -> Payload:
        message = letter.message
        headers = [*without_dlq_headers(message.headers), *self._told(letter)]
        return Payload(letter, headers, message.key, message.value)

    def _as_stub(self, letter: DeadLetter) -> Payload:
        whole = self._whole(letter)
        return whole._replace(headers=[*whole.headers, _IS_STUB], value=_stub(letter.message))

    def _as_bare_stub(self, letter: DeadLetter) -> Payload:
        return Payload(letter, [*self._told(letter), _IS_STUB], None, _stub(letter.message))


def _origin(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset, max(record.timestamp_ms, 0))


def _stub(record: Record) -> bytes:
    """Name a message that is larger than the dead-letter topic allows, so that it can be found and recognised."""
    return encode(
        {
            "original_topic": record.topic,
            "original_partition": record.partition,
            "original_offset": record.offset,
            "size": len(record.value),
            "sha256": hashlib.sha256(record.value).hexdigest(),
        }
    )
