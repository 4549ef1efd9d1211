"""`orders dlq replay`: sends dead letters back to their topic, byte for byte.

Each carries the offset and timestamp of its first record, which are the order's version: sending one twice, or after a
newer order, changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import Producer

from service.entities.dead_letter import Header, Headers, without_dlq_headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import CommandError
from service.handler.kafka.client.error_codes import TOO_LARGE
from service.handler.kafka.client.error_phrases import topic_problem
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.dead_letters import listing
from service.handler.kafka.dead_letters.delivery import ANY_PARTITION, DeliveryFailure, Payload, enqueue
from service.handler.kafka.dead_letters.filters import Filters
from service.pkg.output import Echo
from service.pkg.shutdown_event import ShutdownEvent

MAX_CHUNK_MESSAGES: Final = 500
"""Sent, acknowledged and committed together: a crash repeats at most this many."""
MAX_CHUNK_BYTES: Final = 64 * 2**20
"""A chunk ends when its values reach this size, which the client holds a second time."""
DELIVERY_TIMEOUT_SECONDS: Final = 30.0
_STOP_TIMEOUT_SECONDS: Final = 5.0
"""How long a stop waits for acknowledgements."""
_FLUSH_INTERVAL_SECONDS: Final = 0.5


@dataclass(frozen=True)
class ReplayPlan:
    """What to replay, and how. `limit` and `rate` (dead letters per second) are 0 if unlimited."""

    target_topic: str
    """The order topic."""
    filters: Filters
    max_replays: int = 3
    limit: int = 0
    rate: float = 0
    is_named: bool = False
    """The dead letters are named by partition and offset: all are sent each time, and no offset is committed."""

    @property
    def reports_each(self) -> bool:
        """Whether to print a line for each dead letter: if they are named, or belong to one order."""
        return self.is_named or self.filters.order is not None

    def group(self, group_id: str) -> str:
        """Return the group whose committed offsets are the progress of this replay. Each plan has its own."""
        return f"{group_id}.dlq-replay.{self.filters.fingerprint(self.target_topic, self.max_replays)}"

    def refusal(self, dead_letter: DeadLetterRecord) -> str | None:
        """Return why a dead letter must not be replayed, or None."""
        origin = dead_letter.origin
        if dead_letter.is_stub:
            return "is a stub: its original was too large for the dead-letter topic"
        if origin is None:
            return "has no origin headers"
        if origin.topic != self.target_topic:
            return "came from another topic"
        return "was replayed too often: see --max-replays" if dead_letter.replays >= self.max_replays else None

    def sends(self, dead_letter: DeadLetterRecord) -> bool:
        """Return whether a dead letter matches the filters and is not refused."""
        return self.filters.matches(dead_letter) and self.refusal(dead_letter) is None

    def limited(self, dead_letters: Iterator[DeadLetterRecord]) -> Iterator[DeadLetterRecord]:
        """Yield dead letters until `limit` of them are to be sent; refused ones do not count."""
        sent = 0
        for dead_letter in dead_letters:
            yield dead_letter
            sent += self.sends(dead_letter)
            if self.limit and sent >= self.limit:
                return


@dataclass
class ReplayCounts:
    """Dead letters sent, by reason, and refused, by refusal."""

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def start_offsets(topic: TopicReader, plan: ReplayPlan) -> Offsets:
    """Return the offsets at which the last run of the same plan ended; of other partitions the offsets at `since`."""
    return {**topic.offsets_at(plan.filters.since_ms), **topic.committed()}


def named_dead_letters(
    topic: TopicReader, partition: int, offsets: Sequence[int], stop: ShutdownEvent, echo: Echo
) -> Iterator[DeadLetterRecord]:
    """Yield the dead letters at these offsets, and print a line for each offset without one."""
    for offset in dict.fromkeys(offsets):
        dead_letter = listing.find_dead_letter(topic, partition, offset, stop)
        if dead_letter is not None:
            yield dead_letter
        elif not stop.is_set():
            echo(f"refused: partition {partition}, offset {offset} has no dead letter")


def preview(dead_letters: Iterator[DeadLetterRecord], plan: ReplayPlan, echo: Echo) -> ReplayCounts:
    """Return the counts of a replay without sending anything."""
    counts = ReplayCounts()
    for dead_letter in filter(plan.filters.matches, plan.limited(dead_letters)):
        refusal = plan.refusal(dead_letter)
        if refusal:
            counts.refused[refusal] += 1
        else:
            counts.sent[dead_letter.reason] += 1
        if plan.reports_each:
            echo(f"would be {_refused(dead_letter, refusal) if refusal else _sent(dead_letter)}")
    return counts


def _sent(dead_letter: DeadLetterRecord) -> str:
    return f"sent: partition {dead_letter.partition}, offset {dead_letter.offset} ({dead_letter.reason})"


def _refused(dead_letter: DeadLetterRecord, refusal: str) -> str:
    return f"refused: partition {dead_letter.partition}, offset {dead_letter.offset} {refusal}"


class Replay:
    """One run. Offsets are committed only after everything before them was acknowledged.

    `partitions` are those of the target topic.
    """

    def __init__(
        self, producer: Producer, plan: ReplayPlan, partitions: Sequence[int], *, echo: Echo, stop: ShutdownEvent
    ) -> None:
        self._producer = producer
        self._plan = plan
        self._echo = echo
        self._stop = stop
        self._partitions = partitions
        self.counts = ReplayCounts()

    def run(self, topic: TopicReader, dead_letters: Iterator[DeadLetterRecord]) -> None:
        """Block until all dead letters are sent, or a stop is requested. Raises KafkaException, CommandError."""
        rate, dead_letters = self._plan.rate, self._plan.limited(dead_letters)
        size = max(1, int(min(rate or MAX_CHUNK_MESSAGES, MAX_CHUNK_MESSAGES)))
        while chunk := take_chunk(dead_letters, size):
            sent = self._send_chosen(chunk)
            if not self._plan.is_named:
                topic.commit({dead_letter.partition: dead_letter.offset + 1 for dead_letter in chunk})
            if self._stop.wait(sent / rate if rate else 0):
                return

    def _send_chosen(self, chunk: Sequence[DeadLetterRecord]) -> int:
        matching = [dead_letter for dead_letter in chunk if self._plan.filters.matches(dead_letter)]
        for dead_letter in matching:
            if refusal := self._plan.refusal(dead_letter):
                self._count_refusal(dead_letter, refusal)
        chosen = [dead_letter for dead_letter in matching if self._plan.refusal(dead_letter) is None]
        self.counts.sent.update(dead_letter.reason for dead_letter in chosen)
        too_large = self._deliver(chosen)
        for dead_letter in too_large:
            self.counts.sent[dead_letter.reason] -= 1
            self._count_refusal(dead_letter, f"is larger than {self._plan.target_topic} takes")
        for dead_letter in chosen if self._plan.reports_each else ():
            if dead_letter not in too_large:
                self._echo(_sent(dead_letter))
        return len(chosen)

    def _count_refusal(self, dead_letter: DeadLetterRecord, refusal: str) -> None:
        self.counts.refused[refusal] += 1
        self._echo(_refused(dead_letter, refusal))

    def _deliver(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeadLetterRecord]:
        """Return the dead letters that are too large, once all others are acknowledged. Raises CommandError."""
        # Sent again one by one: a batch of the client can be too large although no dead letter is.
        suspects = self._too_large(self._attempt(dead_letters))
        return [again for dead_letter in suspects for again in self._too_large(self._attempt([dead_letter]))]

    def _too_large(self, failed: Sequence[DeliveryFailure[DeadLetterRecord]]) -> list[DeadLetterRecord]:
        for _, error in failed:
            if error.code() not in TOO_LARGE:
                raise CommandError(topic_problem("produce to", self._plan.target_topic, error))
        return [dead_letter for dead_letter, _ in failed]

    def _attempt(self, dead_letters: Sequence[DeadLetterRecord]) -> list[DeliveryFailure[DeadLetterRecord]]:
        failed: list[DeliveryFailure[DeadLetterRecord]] = []
        for dead_letter in dead_letters:
            self._produce(dead_letter, failed)
        began = monotonic()
        while self._producer.flush(_FLUSH_INTERVAL_SECONDS):
            if monotonic() - began > (_STOP_TIMEOUT_SECONDS if self._stop.is_set() else 2 * DELIVERY_TIMEOUT_SECONDS):
                raise CommandError(f"cannot produce to {self._plan.target_topic}: no acknowledgement in time")
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
