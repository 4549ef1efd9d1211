"""The plan of a replay: it sends the dead letters that match its filters and are not refused."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.kafka.client.topic_reader import Offsets, TopicReader
from service.handler.kafka.dead_letters import listing
from service.handler.kafka.dead_letters.filters import Filters
from service.pkg.output import Echo
from service.pkg.shutdown_event import ShutdownEvent


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
            echo(f"would be {refused_line(dead_letter, refusal) if refusal else sent_line(dead_letter)}")
    return counts


def sent_line(dead_letter: DeadLetterRecord) -> str:
    return f"sent: partition {dead_letter.partition}, offset {dead_letter.offset} ({dead_letter.reason})"


def refused_line(dead_letter: DeadLetterRecord, refusal: str) -> str:
    return f"refused: partition {dead_letter.partition}, offset {dead_letter.offset} {refusal}"
