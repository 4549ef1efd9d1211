"""`orders dlq replay`: sends dead letters back to their topic, byte for byte.

Each carries the offset and timestamp of its first record, which are the order's version: sending one twice, or after a
newer order, changes nothing.
"""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final

from confluent_kafka import Producer

from service.entities.dead_letter_headers import Header, Headers, without_dlq_headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import KafkaRequestFailed
from service.handler.kafka.client.error_codes import TOO_LARGE
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.client.translate import topic_error, translated
from service.handler.kafka.dead_letters.delivery import (
    ANY_PARTITION,
    FLUSH_INTERVAL_SECONDS,
    STOP_TIMEOUT_SECONDS,
    DeliveryFailure,
    Payload,
    enqueue,
)
from service.handler.kafka.dead_letters.replay_plan import ReplayObserver, ReplayPlan, read_dead_letters
from service.pkg.shutdown_event import ShutdownEvent

MAX_CHUNK_MESSAGES: Final = 500
"""Sent, acknowledged and committed together: a crash repeats at most this many."""
MAX_CHUNK_BYTES: Final = 64 * 2**20
"""A chunk ends when its values reach this size, which the client holds a second time."""
DELIVERY_TIMEOUT_SECONDS: Final = 30.0


class Replay:
    """One run. Offsets are committed only after everything before them was acknowledged.

    `partitions` are those of the target topic.
    """

    def __init__(
        self,
        producer: Producer,
        plan: ReplayPlan,
        partitions: Sequence[int],
        observer: ReplayObserver,
        stop: ShutdownEvent,
    ) -> None:
        self._producer = producer
        self._plan = plan
        self._observer = observer
        self._stop = stop
        self._partitions = partitions

    @translated()
    def run(self, topic: TopicReader) -> None:
        """Block until all dead letters are sent, or a stop is requested. Raises KafkaRequestFailed."""
        rate = self._plan.rate
        dead_letters = read_dead_letters(topic, self._plan, self._stop, self._observer)
        size = max(1, int(min(rate or MAX_CHUNK_MESSAGES, MAX_CHUNK_MESSAGES)))
        while chunk := take_chunk(dead_letters, size):
            sent = self._send_matching(chunk)
            if self._plan.named is None:
                topic.commit({dead_letter.partition: dead_letter.offset + 1 for dead_letter in chunk})
            if self._stop.wait(sent / rate if rate else 0):
                return

    def _send_matching(self, chunk: Sequence[DeadLetterRecord]) -> int:
        """Return how many were sent, or were too large."""
        chosen = []
        for dead_letter in filter(self._plan.filters.matches, chunk):
            if refusal := self._plan.refusal(dead_letter):
                self._observer.on_refused(dead_letter, refusal)
            else:
                chosen.append(dead_letter)
        too_large = self._deliver(chosen)
        for dead_letter in chosen:
            if dead_letter in too_large:
                self._observer.on_refused(dead_letter, f"is larger than {self._plan.target_topic} takes")
            else:
                self._observer.on_sent(dead_letter)
        return len(chosen)

    def _deliver(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeadLetterRecord]:
        """Return the dead letters that are too large, once all others are acknowledged. Raises KafkaRequestFailed."""
        # Sent again one by one: a batch of the client can be too large although no dead letter is.
        suspects = self._too_large(self._attempt(dead_letters))
        return [again for dead_letter in suspects for again in self._too_large(self._attempt([dead_letter]))]

    def _too_large(self, failed: Sequence[DeliveryFailure[DeadLetterRecord]]) -> list[DeadLetterRecord]:
        for _, error in failed:
            if error.code() not in TOO_LARGE:
                raise topic_error("produce to", self._plan.target_topic, error)
        return [dead_letter for dead_letter, _ in failed]

    def _attempt(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeliveryFailure[DeadLetterRecord]]:
        failed: list[DeliveryFailure[DeadLetterRecord]] = []
        for dead_letter in dead_letters:
            self._produce(dead_letter, failed)
        began = monotonic()
        while self._producer.flush(FLUSH_INTERVAL_SECONDS):
            if monotonic() - began > (STOP_TIMEOUT_SECONDS if self._stop.is_set() else 2 * DELIVERY_TIMEOUT_SECONDS):
                raise KafkaRequestFailed(f"cannot produce to {self._plan.target_topic}: no acknowledgement in time")
        return failed

    def _produce(self, dead_letter: DeadLetterRecord, failed: list[DeliveryFailure[DeadLetterRecord]]) -> None:
        origin = dead_letter.origin
        partition = origin.partition if origin and origin.partition in self._partitions else ANY_PARTITION
        payload = Payload(dead_letter, replay_headers(dead_letter), dead_letter.key, dead_letter.value)
        enqueue(self._producer, self._plan.target_topic, payload, failed, partition=partition)


def take_chunk(dead_letters: Iterator[DeadLetterRecord], size: int) -> list[DeadLetterRecord]:
    """Return the next dead letters that are sent together; an empty list at the end."""
    chunk: list[DeadLetterRecord] = []
    size_bytes = 0
    while len(chunk) < size and size_bytes < MAX_CHUNK_BYTES and (dead_letter := next(dead_letters, None)) is not None:
        chunk.append(dead_letter)
        size_bytes += len(dead_letter.value or b"")
    return chunk


def replay_headers(dead_letter: DeadLetterRecord) -> Headers:
    """Return the original headers, the first origin, and the number of this replay."""
    kept = (Header.TOPIC, Header.PARTITION, Header.OFFSET, Header.TIMESTAMP)
    origin: Headers = [(name, value) for name, value in dead_letter.headers if name in kept]
    return [*without_dlq_headers(dead_letter.headers), *origin, (Header.REPLAYS, str(dead_letter.replays + 1).encode())]
