"""`orders dlq replay`: sends dead letters to the topic that they came from, byte for byte.

They carry the place and time of their first record, which is the order's version, so that sending one twice, or after
a newer order, changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, Producer

from service.entities.dead_letter import Header, Headers, without_dlq_headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.errors import CommandRefused
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.topic_reader import CALL_SECONDS, Offsets, TopicReader
from service.handler.kafka.dead_letters import listing
from service.handler.kafka.dead_letters.filters import Filters
from service.pkg.polling import Echo
from service.pkg.shutdown_event import ShutdownEvent

CHUNK_LETTERS: Final = 500
"""Sent, acknowledged and committed together: what a crash repeats at most."""
CHUNK_BYTES: Final = 64 * 2**20
"""And with no further letter from here on: what is held in memory, by the client once more."""
DELIVERY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
"""How long a stop waits for acknowledgements."""
_FLUSH_INTERVAL_SECONDS: Final = 0.5
_ANY_PARTITION: Final = -1
_TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)

Failure = tuple[DeadLetterRecord, KafkaError]


@dataclass(frozen=True)
class ReplayPlan:
    """What to replay `to` the order topic; `limit` and `rate` (letters a second) are 0 where there is none."""

    to: str
    filters: Filters
    max_replays: int = 3
    limit: int = 0
    rate: float = 0
    is_named: bool = False
    """The letters are named by their places: all of them are sent, each time, and none is remembered."""

    @property
    def tells_each(self) -> bool:
        """Whether each letter gets a line: those that were named, and those of one order."""
        return self.is_named or self.filters.order is not None

    def group(self, group_id: str) -> str:
        """Name the group that remembers how far this replay came: another selection is another replay."""
        return f"{group_id}.dlq-replay.{self.filters.fingerprint(self.to, self.max_replays)}"

    def refusal(self, letter: DeadLetterRecord) -> str | None:
        """Say why a letter must not be replayed; None where it may."""
        origin = letter.origin
        if letter.is_stub:
            return "is a stub: its original was too large for the dead-letter topic"
        if origin is None:
            return "names no origin"
        if origin.topic != self.to:
            return "came from another topic"
        return "was replayed too often: see --max-replays" if letter.replays >= self.max_replays else None

    def sends(self, letter: DeadLetterRecord) -> bool:
        return self.filters.matches(letter) and self.refusal(letter) is None

    def limited(self, letters: Iterator[DeadLetterRecord]) -> Iterator[DeadLetterRecord]:
        """Yield letters, meant or not, until `limit` of them are to be sent."""
        sent = 0
        for letter in letters:
            yield letter
            sent += self.sends(letter)
            if self.limit and sent >= self.limit:
                return


@dataclass
class ReplayCounts:
    """How many letters were sent, by reason, and how many were refused, by refusal."""

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def starts(topic: TopicReader, plan: ReplayPlan) -> Offsets:
    """Return where to begin: where the last run of the same plan ended, else by the time asked for."""
    return {**topic.at(plan.filters.since_ms), **topic.committed()}


def named(
    topic: TopicReader, partition: int, offsets: Sequence[int], stop: ShutdownEvent, echo: Echo
) -> Iterator[DeadLetterRecord]:
    """Yield the letters at these offsets, and say of each place that has none."""
    for offset in dict.fromkeys(offsets):
        letter = listing.at(topic, partition, offset, stop)
        if letter is not None:
            yield letter
        elif not stop.is_set():
            echo(f"refused: partition {partition}, offset {offset} has no dead letter")


def preview(letters: Iterator[DeadLetterRecord], plan: ReplayPlan, echo: Echo) -> ReplayCounts:
    """Return what a replay would do."""
    tally = ReplayCounts()
    for letter in filter(plan.filters.matches, plan.limited(letters)):
        refusal = plan.refusal(letter)
        if refusal:
            tally.refused[refusal] += 1
        else:
            tally.sent[letter.reason] += 1
        if plan.tells_each:
            echo(f"would be {_refused(letter, refusal) if refusal else _sent(letter)}")
    return tally


def _sent(letter: DeadLetterRecord) -> str:
    return f"sent: partition {letter.partition}, offset {letter.offset} ({letter.reason})"


def _refused(letter: DeadLetterRecord, refusal: str) -> str:
    return f"refused: partition {letter.partition}, offset {letter.offset} {refusal}"


class Replay:
    """One run. Offsets are committed only after everything before them was acknowledged."""

    def __init__(
        self, consumer: Consumer, producer: Producer, plan: ReplayPlan, *, echo: Echo, stop: ShutdownEvent
    ) -> None:
        self._producer = producer
        self._plan = plan
        self._say = echo
        self._stop = stop
        self._partitions = _partitions(consumer, plan.to)
        self.tally = ReplayCounts()

    def run(self, topic: TopicReader, letters: Iterator[DeadLetterRecord]) -> None:
        """Send the letters; blocks until they end or a stop is asked for. Raises KafkaException, CommandRefused."""
        rate, letters = self._plan.rate, self._plan.limited(letters)
        size = max(1, int(min(rate or CHUNK_LETTERS, CHUNK_LETTERS)))
        while chunk := take_chunk(letters, size):
            sent = self._send_chosen(chunk)
            if not self._plan.is_named:
                topic.commit({letter.partition: letter.offset + 1 for letter in chunk})
            if self._stop.wait(sent / rate if rate else 0):
                return

    def _send_chosen(self, chunk: Sequence[DeadLetterRecord]) -> int:
        meant = [letter for letter in chunk if self._plan.filters.matches(letter)]
        for letter in meant:
            if refusal := self._plan.refusal(letter):
                self._refuse(letter, refusal)
        chosen = [letter for letter in meant if self._plan.refusal(letter) is None]
        self.tally.sent.update(letter.reason for letter in chosen)
        too_large = self._deliver(chosen)
        for letter in too_large:
            self.tally.sent[letter.reason] -= 1
            self._refuse(letter, f"is larger than {self._plan.to} takes")
        for letter in chosen if self._plan.tells_each else ():
            if letter not in too_large:
                self._say(_sent(letter))
        return len(chosen)

    def _refuse(self, letter: DeadLetterRecord, refusal: str) -> None:
        self.tally.refused[refusal] += 1
        self._say(_refused(letter, refusal))

    def _deliver(self, letters: Sequence[DeadLetterRecord]) -> list[DeadLetterRecord]:
        """Return the letters that are too large, once all others are acknowledged. Raises CommandRefused."""
        # They go again one by one: a batch of the client's making can be too large where no letter is.
        suspects = self._too_large(self._attempt(letters))
        return [again for letter in suspects for again in self._too_large(self._attempt([letter]))]

    def _too_large(self, failed: Sequence[Failure]) -> list[DeadLetterRecord]:
        for _, error in failed:
            if error.code() not in _TOO_LARGE:
                raise CommandRefused(f"topic {self._plan.to} did not take a dead letter: {phrase(error)}")
        return [letter for letter, _ in failed]

    def _attempt(self, letters: Sequence[DeadLetterRecord]) -> list[Failure]:
        failed: list[Failure] = []
        for letter in letters:
            self._produce(letter, failed)
        began = monotonic()
        while self._producer.flush(_FLUSH_INTERVAL_SECONDS):
            if monotonic() - began > (_STOP_SECONDS if self._stop.is_set() else 2 * DELIVERY_SECONDS):
                raise CommandRefused("Kafka did not acknowledge in time")
        return failed

    def _produce(self, letter: DeadLetterRecord, failed: list[Failure]) -> None:
        def acknowledge(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append((letter, error))

        origin = letter.origin
        self._producer.produce(
            self._plan.to,
            letter.value,
            letter.key,
            origin.partition if origin and origin.partition < self._partitions else _ANY_PARTITION,
            headers=[*replay_headers(letter)],
            on_delivery=acknowledge,
        )


def take_chunk(letters: Iterator[DeadLetterRecord], size: int) -> list[DeadLetterRecord]:
    """Take the next letters, as many as are sent together; none where there are no more."""
    chunk: list[DeadLetterRecord] = []
    held = 0
    while len(chunk) < size and held < CHUNK_BYTES and (letter := next(letters, None)) is not None:
        chunk.append(letter)
        held += len(letter.value or b"")
    return chunk


def replay_headers(letter: DeadLetterRecord) -> Headers:
    """Return the original headers, the first origin, and the number of this replay."""
    kept = (Header.TOPIC, Header.PARTITION, Header.OFFSET, Header.TIMESTAMP)
    origin: Headers = [(name, value) for name, value in letter.headers if name in kept]
    return [*without_dlq_headers(letter.headers), *origin, (Header.REPLAYS, str(letter.replays + 1).encode())]


def _partitions(consumer: Consumer, name: str) -> int:
    """Ask with a consumer: a producer's question can make a broker create the topic."""
    topic = consumer.list_topics(name, timeout=CALL_SECONDS).topics[name]
    if topic.error is not None:
        raise CommandRefused(f"cannot write to topic {name}: {phrase(topic.error)}; `orders migrate` creates topics")
    return len(topic.partitions)
