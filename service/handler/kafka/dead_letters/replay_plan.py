"""The plan of a replay: it sends the dead letters that match its filters and are not refused."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, Protocol

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.pkg.shutdown_event import ShutdownEvent


class NamedDeadLetters(NamedTuple):
    partition: int
    offsets: tuple[int, ...]


@dataclass(frozen=True)
class ReplayPlan:
    """What to replay, and how. `limit` and `rate` (dead letters per second) are 0 if unlimited."""

    target_topic: str
    """The order topic."""
    filters: Filters
    _: KW_ONLY
    max_replays: int = 3
    limit: int = 0
    rate: float = 0
    named: NamedDeadLetters | None = None
    """If set, all of these are sent each time, and no offset is committed."""

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


class ReplayObserver(Protocol):
    """Is called for each dead letter of a replay or of its preview that matches the filters."""

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        """Report a dead letter that the broker has acknowledged; in a preview, one that would be sent."""

    def on_refused(self, dead_letter: DeadLetterRecord, refusal: str) -> None: ...

    def on_missing(self, partition: int, offset: int) -> None:
        """Report a named offset without a dead letter."""


def read_dead_letters(
    topic: TopicReader, plan: ReplayPlan, stop: ShutdownEvent, observer: ReplayObserver
) -> Iterator[DeadLetterRecord]:
    """Yield the named dead letters, or those since the end of the last run of the same plan, up to its limit."""
    if plan.named is not None:
        return _named(topic, plan.named, stop, observer)
    starts = {**reading.start_offsets(topic, plan.filters), **topic.committed()}
    return plan.limited(map(dead_letter_of, topic.read(starts, stop.is_set)))


def _named(
    topic: TopicReader, named: NamedDeadLetters, stop: ShutdownEvent, observer: ReplayObserver
) -> Iterator[DeadLetterRecord]:
    for offset in named.offsets:
        dead_letter = reading.find_dead_letter(topic, named.partition, offset, stop)
        if dead_letter is not None:
            yield dead_letter
        elif not stop.is_set():
            observer.on_missing(named.partition, offset)


def preview(topic: TopicReader, plan: ReplayPlan, stop: ShutdownEvent, observer: ReplayObserver) -> None:
    """Report what a replay would do, without sending anything."""
    for dead_letter in filter(plan.filters.matches, read_dead_letters(topic, plan, stop, observer)):
        if refusal := plan.refusal(dead_letter):
            observer.on_refused(dead_letter, refusal)
        else:
            observer.on_sent(dead_letter)
