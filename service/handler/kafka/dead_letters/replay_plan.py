"""The plan of a replay: it sends the dead letters that match its filters and are not refused."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.kafka.client.topic_reader import TopicReader
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.dead_letters.filters import Filters, dead_letter_of
from service.pkg.output import Echo
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

    @property
    def reports_each(self) -> bool:
        """Whether to print a line for each dead letter: if they are named, or belong to one order."""
        return self.named is not None or self.filters.order is not None

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


def read_dead_letters(
    topic: TopicReader, plan: ReplayPlan, stop: ShutdownEvent, echo: Echo
) -> Iterator[DeadLetterRecord]:
    """Yield the named dead letters, or those since the end of the last run of the same plan, up to its limit."""
    if plan.named is not None:
        return _named(topic, plan.named, stop, echo)
    starts = {**topic.offsets_at(plan.filters.since_ms), **topic.committed()}
    return plan.limited(map(dead_letter_of, topic.read(starts, stop.is_set)))


def _named(topic: TopicReader, named: NamedDeadLetters, stop: ShutdownEvent, echo: Echo) -> Iterator[DeadLetterRecord]:
    """Print a line for each offset without a dead letter."""
    for offset in named.offsets:
        dead_letter = reading.find_dead_letter(topic, named.partition, offset, stop)
        if dead_letter is not None:
            yield dead_letter
        elif not stop.is_set():
            echo(f"refused: partition {named.partition}, offset {offset} has no dead letter")


def preview(topic: TopicReader, plan: ReplayPlan, stop: ShutdownEvent, echo: Echo) -> ReplayCounts:
    """Return the counts of a replay without sending anything."""
    counts = ReplayCounts()
    for dead_letter in filter(plan.filters.matches, read_dead_letters(topic, plan, stop, echo)):
        refusal = plan.refusal(dead_letter)
        if refusal:
            counts.refused[refusal] += 1
        else:
            counts.sent[dead_letter.reason] += 1
        if plan.reports_each:
            echo(f"would be {refused_line(dead_letter, refusal) if refusal else sent_line(dead_letter)}")
    return counts


def sent_line(dead_letter: DeadLetterRecord) -> str:
    return f"sent: partition {dead_letter.partition}, offset {dead_letter.offset} ({dead_letter.reason})"


def refused_line(dead_letter: DeadLetterRecord, refusal: str) -> str:
    return f"refused: partition {dead_letter.partition}, offset {dead_letter.offset} {refusal}"
