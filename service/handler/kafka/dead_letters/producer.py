"""The dead-letter topic, sent to at least once: what a crash repeats has the same origin."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Producer

from service.entities.dead_letter import DeadLetter
from service.entities.errors import DeadLettersUnavailable
from service.handler.kafka.dead_letters.delivery import DeliveryFailure, abandon, enqueue
from service.handler.kafka.dead_letters.encoder import TOO_LARGE, DeadLetterEncoder, Payload, is_for_good
from service.pkg.shutdown_event import ShutdownEvent, Stopped
from service.usecases.batch import Batch

_LOOK_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 5.0
"""How long a stop waits for acknowledgements: what is under way is done once then, and an outage is not waited out."""
_TIMEOUT_MS: Final = 60_000
"""Longer than a session: by then the partitions have another owner, which sends their dead letters again."""
_MISSING_TOPIC_MS: Final = 5_000
"""How long librdkafka hopes that an unknown topic appears, before it says so."""


class DeadLetterProducer:
    """Implements usecases.ports.DeadLetters: at least once. For one thread.

    The producer is idempotent, so that a broker that is away for a while costs no dead letter and doubles none. It is
    replaced when nothing gets through for a minute: some were seen that never recovered from a restart of the broker.
    """

    def __init__(self, properties: dict[str, Any], topic: str, encoder: DeadLetterEncoder, stop: ShutdownEvent) -> None:
        self._properties = {
            **properties,
            "message.timeout.ms": _TIMEOUT_MS,
            "topic.metadata.propagation.max.ms": _MISSING_TOPIC_MS,
        }
        self._producer: Producer | None = None
        self._topic = topic
        self._encoder = encoder
        self._stop = stop

    def finish(self, _: Batch, dead_letters: Sequence[DeadLetter]) -> bool:
        if dead_letters:
            self._send(dead_letters)
        return False

    def _send(self, dead_letters: Sequence[DeadLetter]) -> None:
        failed: list[DeliveryFailure] = []
        for dead_letter, error in self._deliver([self._encoder.encode(dead_letter) for dead_letter in dead_letters]):
            failed += self._deliver_alone(dead_letter) if error.code() in TOO_LARGE else [(dead_letter, error)]
        if failed:
            unsent = [dead_letter for dead_letter, _ in failed]
            raise DeadLettersUnavailable(f"{self._topic} did not take a message ({failed[0][1].name()})", unsent)

    def close(self) -> None:
        """Forget what was not acknowledged: its offsets are not committed either."""
        if self._producer is not None:
            abandon(self._producer)
            self._producer = None

    def _deliver_alone(self, dead_letter: DeadLetter) -> list[DeliveryFailure]:
        """Send whole, or else as a stub: the broker refuses all that the client sent with one that is too large.

        Where key or headers alone are too large, the stub goes without them: nothing may hold up the rest for good.
        """
        failed = self._deliver([self._encoder.encode(dead_letter)])
        for fallbacks in self._encoder.fallbacks:
            if any(error.code() in TOO_LARGE for _, error in failed):
                failed = self._deliver([fallbacks(dead_letter)])
        return failed

    def _deliver(self, payloads: list[Payload]) -> list[DeliveryFailure]:
        """Produce and wait for every acknowledgement; return what was not taken. Raises Stopped."""
        producer = self._made()
        failed: list[DeliveryFailure] = []
        for payload in payloads:
            enqueue(producer, self._topic, payload, failed)
        while producer.flush(_LOOK_SECONDS):
            if self._stop.is_set() and producer.flush(_LAST_SECONDS):
                raise Stopped
        if any(is_for_good(error) for _, error in failed):
            self.close()
        return failed

    def _made(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._properties, logger=logging.getLogger("librdkafka"))
        return self._producer
