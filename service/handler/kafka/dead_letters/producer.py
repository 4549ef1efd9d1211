"""Produces dead letters at least once. After a crash, duplicates have the same origin headers."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from service.entities.dead_letter import DeadLetter
from service.errors import DeadLettersUnavailable, KafkaRequestFailed, Stopped
from service.handler.kafka.client.error_codes import TOO_LARGE, is_unrecoverable
from service.handler.kafka.client.error_phrases import remedy, topic_problem
from service.handler.kafka.dead_letters.delivery import (
    STOP_TIMEOUT_SECONDS,
    DeliveryFailure,
    Payload,
    ReplaceableProducer,
    enqueue,
    flush,
)
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.ingest import CommittableBatch

_DELIVERY_TIMEOUT_MS: Final = 60_000
"""Longer than a session: by then the partitions have another owner, which sends their dead letters again."""
_UNKNOWN_TOPIC_TIMEOUT_MS: Final = 5_000
"""How long librdkafka waits for an unknown topic before it reports the error."""


class DeadLetterProducer:
    """Implements usecases.ports.ingest.DeadLetters: at least once. Not thread-safe.

    The producer is idempotent: an outage of the broker neither loses nor duplicates dead letters. It is replaced if it
    delivers nothing for a minute, because some never recovered from a restart of the broker.
    """

    def __init__(
        self, properties: Callable[[], dict[str, Any]], topic: str, encoder: DeadLetterEncoder, stop: ShutdownEvent
    ) -> None:
        timeouts = {
            "message.timeout.ms": _DELIVERY_TIMEOUT_MS,
            "topic.metadata.propagation.max.ms": _UNKNOWN_TOPIC_TIMEOUT_MS,
        }
        self._producer = ReplaceableProducer(lambda: {**properties(), **timeouts})
        self._topic = topic
        self._encoder = encoder
        self._stop = stop

    def send_and_commit(self, _: CommittableBatch, dead_letters: Sequence[DeadLetter]) -> bool:
        try:
            if dead_letters:
                self._send(dead_letters)
        except KafkaException as error:
            raise self._unavailable(error.args[0], dead_letters) from error
        except KafkaRequestFailed as error:
            raise DeadLettersUnavailable(str(error), dead_letters) from error
        return False

    def _send(self, dead_letters: Sequence[DeadLetter]) -> None:
        failed: list[DeliveryFailure[DeadLetter]] = []
        for dead_letter, error in self._deliver([self._encoder.encode(dead_letter) for dead_letter in dead_letters]):
            failed += self._deliver_one(dead_letter) if error.code() in TOO_LARGE else [(dead_letter, error)]
        if failed:
            raise self._unavailable(failed[0][1], [dead_letter for dead_letter, _ in failed])

    def _unavailable(self, error: KafkaError, unsent: Sequence[DeadLetter]) -> DeadLettersUnavailable:
        return DeadLettersUnavailable(topic_problem("produce to", self._topic, error), unsent, remedy(error))

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Pass these on to the producer. May be called by any thread."""
        self._producer.set_sasl_credentials(username, password)

    def close(self) -> None:
        """Drop unacknowledged dead letters: their offsets are not committed either."""
        self._producer.close()

    def _deliver_one(self, dead_letter: DeadLetter) -> list[DeliveryFailure[DeadLetter]]:
        """Send it whole, or else as a stub: a message that is too large fails the client's whole batch.

        If key or headers alone are too large, the stub is sent without them: no dead letter may block forever.
        """
        failed = self._deliver([self._encoder.encode(dead_letter)])
        for encode in self._encoder.fallbacks:
            if any(error.code() in TOO_LARGE for _, error in failed):
                failed = self._deliver([encode(dead_letter)])
        return failed

    def _deliver(self, payloads: list[Payload[DeadLetter]]) -> list[DeliveryFailure[DeadLetter]]:
        """Produce and wait for every acknowledgement; return the failures. Raises Stopped."""
        producer = self._producer.get()
        failed: list[DeliveryFailure[DeadLetter]] = []
        for payload in payloads:
            enqueue(producer, self._topic, payload, failed)
        if not flush(producer, lambda: self._stop.is_set() and producer.flush(STOP_TIMEOUT_SECONDS) > 0):
            raise Stopped
        if any(is_unrecoverable(error) for _, error in failed):
            self.close()
        return failed
