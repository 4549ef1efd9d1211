"""Replays dead letters: sends each back to the topic that it came from, byte for byte.

Each carries the offset and timestamp of its first record, which are the order's version: sending one twice, or after a
newer order, changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.subscription import Subscription
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_filters import matches
from service.usecases.ownership import is_binary, is_uid, known_order
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import (
    DEFAULT_MAX_REPLAYS,
    EditedValue,
    ReadUid,
    ReplayObserver,
    ReplayRefusal,
    ReplaySource,
    ReplayTarget,
)

MAX_CHUNK_MESSAGES: Final = 500
"""Maximum number of dead letters that are sent and committed together, and are repeated after a crash."""
MAX_REPLAY_CHUNK_BYTES: Final = 64 * 2**20
"""A chunk ends when its values reach this size, because the client keeps a second copy of them."""
_FINGERPRINT_DIGITS: Final = 12


class ExaminedDeadLetter(NamedTuple):
    """A dead letter, whether it matches the filters, and why it is not sent although it matches."""

    dead_letter: DeadLetterRecord
    matches: bool
    refusal: ReplayRefusal | None

    @property
    def is_sent(self) -> bool:
        return self.matches and self.refusal is None


def _read_nothing(_: DeadLetterRecord) -> None: ...


@dataclass(frozen=True)
class ReplayPlan:
    """What to replay, and how. `limit` and `rate` (dead letters per second) are 0 if unlimited."""

    subscription: Subscription
    """The topics that dead letters may be sent to."""
    filters: DeadLetterFilters
    _: KW_ONLY
    read_uid: ReadUid = _read_nothing
    """Decides whether an edited value is of the same order. What it cannot read is searched for the order's id."""
    max_replays: int = DEFAULT_MAX_REPLAYS
    limit: int = 0
    rate: float = 0
    named: Sequence[DeadLetterId] | None = None
    """If set, each run sends exactly these, and no offset is committed."""
    edited: EditedValue | None = None
    """Sent instead of the value of the only named dead letter."""
    max_chunk_bytes: int = MAX_REPLAY_CHUNK_BYTES

    def group(self, group_id: str) -> str:
        """Return the group whose committed offsets are the progress of this replay. Each plan has its own."""
        return f"{group_id}.dlq-replay.{self._fingerprint()}"

    def _fingerprint(self) -> str:
        """Return a short hash of what decides which dead letters are sent."""
        filters = self.filters
        times = [time and to_milliseconds(time) for time in (filters.since, filters.until)]
        parts = (sorted(filters.reasons), *times, filters.order, filters.text, str(self.subscription), self.max_replays)
        return sha256(repr(parts).encode()).hexdigest()[:_FINGERPRINT_DIGITS]

    def refusal(self, dead_letter: DeadLetterRecord) -> ReplayRefusal | None:
        """Return why a dead letter must not be replayed, or None."""
        origin = dead_letter.origin
        if dead_letter.is_stub:
            return ReplayRefusal.STUB
        if origin is None:
            return ReplayRefusal.NO_ORIGIN
        if not self.subscription.includes(origin.topic):
            return ReplayRefusal.OTHER_TOPIC
        if dead_letter.replays >= self.max_replays:
            return ReplayRefusal.REPLAYED_TOO_OFTEN
        return None if self.edited is None else self._edit_refusal(dead_letter, self.edited)

    def _edit_refusal(self, dead_letter: DeadLetterRecord, edited: EditedValue) -> ReplayRefusal | None:
        """Return why an edited value must not replace the dead letter's, or None."""
        order_uid = self.read_uid(dead_letter)
        if order_uid is None or not is_uid(order_uid):
            order_uid = known_order(dead_letter.key, dead_letter.value)
        if order_uid is not None:
            return None if order_uid == edited.order_uid else ReplayRefusal.OTHER_ORDER
        return ReplayRefusal.UNREADABLE_ORDER if is_binary(dead_letter.value) else None

    def edit(self, dead_letter: DeadLetterRecord) -> DeadLetterRecord:
        """Return the dead letter as it is sent."""
        return dead_letter if self.edited is None else dead_letter._replace(value=self.edited.value)

    def examine(self, dead_letter: DeadLetterRecord) -> ExaminedDeadLetter:
        """Decide what to do with a dead letter. May decode its document."""
        is_match = matches(self.filters, dead_letter)
        return ExaminedDeadLetter(dead_letter, is_match, self.refusal(dead_letter) if is_match else None)

    def examine_all(self, dead_letters: Iterable[DeadLetterRecord]) -> Iterator[ExaminedDeadLetter]:
        """Examine dead letters until `limit` of them are to be sent; refused ones do not count."""
        sent = 0
        for examined in map(self.examine, dead_letters):
            yield examined
            sent += examined.is_sent
            if self.limit and sent >= self.limit:
                return


@dataclass(frozen=True, slots=True)
class Replay:
    """One run. Offsets are committed only after everything before them was acknowledged."""

    plan: ReplayPlan
    source: ReplaySource
    observer: ReplayObserver
    stop: ShutdownEvent

    def preview(self) -> None:
        """Report what a replay would do, without sending anything. Raises KafkaRequestFailed."""
        for dead_letter in self._choose(self._read()):
            self.observer.on_sent(dead_letter)

    def run(self, target: ReplayTarget) -> None:
        """Block until all dead letters are sent, or a stop is requested. Raises KafkaRequestFailed."""
        rate, dead_letters = self.plan.rate, self._read()
        size = max(1, int(min(rate or MAX_CHUNK_MESSAGES, MAX_CHUNK_MESSAGES)))
        while (chunk := take_chunk(dead_letters, size, self.plan.max_chunk_bytes)) and not self.stop.is_set():
            sent = self._send([*self._choose(chunk)], target)
            if self.plan.named is None:
                self.source.commit({each.partition: each.offset + 1 for each, _, _ in chunk})
            if self.stop.wait(sent / rate if rate else 0):
                return

    def _read(self) -> Iterator[ExaminedDeadLetter]:
        """Yield the named dead letters, or those since the end of the last run of the same plan, up to its limit."""
        if self.plan.named is not None:
            return map(self.plan.examine, self._find(self.plan.named))
        return self.plan.examine_all(self.source.read_new(self.plan.filters.since))

    def _find(self, named: Iterable[DeadLetterId]) -> Iterator[DeadLetterRecord]:
        for each in named:
            dead_letter = self.source.find(each.partition, each.offset)
            if dead_letter is not None:
                yield dead_letter
            elif not self.stop.is_set():
                self.observer.on_refused(each, ReplayRefusal.MISSING)

    def _choose(self, dead_letters: Iterable[ExaminedDeadLetter]) -> Iterator[DeadLetterRecord]:
        """Yield the dead letters that match and are not refused, as they are sent."""
        for examined in dead_letters:
            if examined.refusal is not None:
                self.observer.on_refused(examined.dead_letter.id, examined.refusal)
            elif examined.is_sent:
                yield self.plan.edit(examined.dead_letter)

    def _send(self, dead_letters: Sequence[DeadLetterRecord], target: ReplayTarget) -> int:
        """Return how many were sent, or were too large."""
        too_large = target.send(dead_letters)
        for dead_letter in dead_letters:
            if dead_letter in too_large:
                self.observer.on_refused(dead_letter.id, ReplayRefusal.TOO_LARGE)
            else:
                self.observer.on_sent(dead_letter)
        return len(dead_letters)


def take_chunk(dead_letters: Iterator[ExaminedDeadLetter], size: int, max_bytes: int) -> list[ExaminedDeadLetter]:
    """Return the next dead letters that are sent together; an empty list at the end."""
    chunk: list[ExaminedDeadLetter] = []
    size_bytes = 0
    while len(chunk) < size and size_bytes < max_bytes and (examined := next(dead_letters, None)) is not None:
        chunk.append(examined)
        size_bytes += len(examined.dead_letter.value or b"")
    return chunk
