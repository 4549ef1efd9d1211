"""The invariants: what must be true at every commit, and at the end."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.entities.version import Version
from tests.simulation.broker import Broker
from tests.simulation.coordinator import Key, Offset
from tests.simulation.database import Database
from tests.simulation.partition_log import Entry, PartitionLog, State
from tests.simulation.plan import MAX_CONSECUTIVE, MIN_REJECTED, PROBE_MESSAGES, RETRY_AFTER_SECONDS, FaultKind, Plan
from tests.simulation.scheduler import START_SECONDS
from tests.simulation.topic_history import RecordName, TopicHistory, name_of
from tests.simulation.violation import Violation
from tests.simulation.workload import FLOOD_SECONDS, Item, Kind, is_in_flood


@dataclass(slots=True)
class Produced:
    """A record that the topic has acknowledged."""

    item: Item
    offset: int
    is_excused: bool = False
    """Whether it may be lost: retention, or the deletion of the topic, was faster than the consumer."""
    may_be_rejected: bool = False
    """Whether the database rejected orders while this one was not stored."""

    @property
    def version(self) -> Version:
        return self.item.timestamp_ms, self.item.partition, self.offset


class Checker:
    def __init__(self, broker: Broker, database: Database, topic: str, dead_letter_topic: str) -> None:
        self._broker = broker
        self._database = database
        self._topic = topic
        self.records = TopicHistory(broker, topic)
        self.dead_letters = TopicHistory(broker, dead_letter_topic)
        self._produced: dict[int, Produced] = {}
        """By timestamp."""
        self._skipped: set[int] = set()
        """The ids of records that may have been skipped, because their order was erased, and has been undone since."""
        database.on_undone = self._on_undone

    def on_produced(self, item: Item, entry: Entry) -> None:
        produced = Produced(item, entry.offset, may_be_rejected=self._database.is_rejecting_all)
        self._produced[item.timestamp_ms] = produced

    def on_deleted(self, entries: Iterable[Entry]) -> None:
        """Excuse records that are deleted before they are processed."""
        entries = [*entries]
        self.records.on_deleted(entries)
        for entry in entries:
            produced = self._produced.get(entry.payload.timestamp_ms)
            if produced is not None:
                produced.is_excused = True

    def on_rejecting(self) -> None:
        """Excuse orders that are dead-lettered because the database rejects everything."""
        for produced in self._produced.values():
            produced.may_be_rejected = True

    def on_commit(self, offsets: Mapping[Key, Offset]) -> None:
        """Verify that everything before the offsets is stored or dead-lettered."""
        dead_letters = self._known_dead_letters()
        for key, committed in offsets.items():
            if log := self.current_log(key, committed):
                what = f"offset {committed.offset} of partition {key[1]}"
                self._verify_done(log, committed.offset, dead_letters, what)

    def verify_end(self, *, exactly_once: bool) -> None:
        dead_letters = self._known_dead_letters()
        for key in self._broker.keys(self._topic):
            log = self._broker.log(key)
            assert log is not None
            self._verify_done(log, log.end, dead_letters, f"the end of partition {key[1]}")
        self._verify_versions(dead_letters)
        self._verify_values()
        self._verify_dead_letters(dead_letters, exactly_once=exactly_once)

    def item(self, name: RecordName) -> Item:
        return self._produced[name.timestamp_ms].item

    def names(self, entry: Entry, uid: str) -> bool:
        """Return whether a document names its order, and that is this one."""
        item = self.item(name_of(entry))
        return item.uid == uid and item.kind.names_order

    def was_skipped(self, entry: Entry) -> bool:
        """Return whether a record may have been skipped before the erasure of its order was undone."""
        return id(entry) in self._skipped

    def _on_undone(self, uid: str) -> None:
        self._skipped |= {id(each) for each in self.records.records() if self._is_stored_as(each, uid)}

    def _is_stored_as(self, entry: Entry, uid: str) -> bool:
        """Return whether a record has a document that is stored as this order, unless PostgreSQL rejects it."""
        produced = self._produced.get(name_of(entry).timestamp_ms)
        if produced is None or produced.item.uid != uid or entry.payload.value is None:
            return False
        return produced.item.kind is Kind.POISON or _is_valid(produced, entry)

    def verify_breakers(self, plan: Plan, rejected: Sequence[int]) -> None:
        """Verify that the circuit breaker of each process let few messages become dead letters.

        `rejected`: how many orders each process dead-lettered while PostgreSQL rejected all.
        """
        if plan.flood is Kind.INVALID:
            seconds = FLOOD_SECONDS[1] - FLOOD_SECONDS[0]
            count = sum(map(is_in_flood, self._dead_letter_times()))
            if count > len(rejected) * (MAX_CONSECUTIVE - 1 + PROBE_MESSAGES * (1 + seconds / RETRY_AFTER_SECONDS)):
                raise Violation(f"{count} messages of a flood became dead letters within {seconds:g} s")
        rejections = [each.kind for each in plan.faults].count(FaultKind.POSTGRES_REJECTS_ALL)
        if plan.flood is None and rejections == 1 and max(rejected) >= MIN_REJECTED:
            raise Violation(f"{max(rejected)} orders became dead letters while PostgreSQL rejected all")

    def _dead_letter_times(self) -> list[float]:
        return [entry.payload.timestamp_ms / 1_000 - START_SECONDS for entry in self.dead_letters.records()]

    @property
    def lag(self) -> dict[int, int]:
        """What is left to commit, by partition."""
        return dict(self._lags())

    @property
    def is_processed(self) -> bool:
        """Whether nothing is left to commit."""
        return next(self._lags(), None) is None

    def _lags(self) -> Iterator[tuple[int, int]]:
        topic = self._broker.topics.get(self._topic)
        for partition, log in enumerate(topic.logs if topic else ()):
            key = self._topic, partition
            committed = self._broker.coordinator.offsets.get(key)
            done = committed.offset if committed and self._is_current(key, committed) else log.start
            if done < log.end:
                yield partition, log.end - done

    @property
    def holds_back_rejected(self) -> bool:
        """Whether an order that the database always rejects is among the records that are left to commit."""
        for partition, count in self._lags():
            log = self._broker.log((self._topic, partition))
            assert log is not None
            if any(self._is_poison(entry) for entry in log.entries[-count:]):
                return True
        return False

    def _is_poison(self, entry: Entry) -> bool:
        produced = self._produced.get(name_of(entry).timestamp_ms)
        return produced is not None and produced.item.kind is Kind.POISON and not _is_valid(produced, entry)

    def _known_dead_letters(self) -> Counter[RecordName]:
        """Return how often each record was dead-lettered. Verify that each dead letter names its record."""
        for entry in self.dead_letters.records():
            produced = self._produced.get(entry.origin.timestamp_ms) if entry.origin else None
            if produced is None or (entry.origin and entry.origin.version != produced.version):
                raise Violation(f"a dead letter has the unknown origin {entry.origin}")
        return self.dead_letters.counts()

    def current_log(self, key: Key, committed: Offset) -> PartitionLog | None:
        """Return the log of a partition, unless the offset is one of a deleted topic of the same name."""
        return self._broker.log(key) if self._is_current(key, committed) else None

    def _is_current(self, key: Key, committed: Offset) -> bool:
        topic = self._broker.topics.get(key[0])
        return topic is not None and committed.metadata in {"", topic.commit_metadata}

    def _verify_done(self, log: PartitionLog, end: int, dead_letters: Counter[RecordName], what: str) -> None:
        for entry in log.entries[: max(end - log.start, 0)]:
            if entry.state is State.OPEN:
                raise Violation(f"{what} is behind an open transaction at offset {entry.offset}")
            if entry.state is State.VISIBLE and not self._is_done(entry, dead_letters):
                item = self.item(name_of(entry))
                raise Violation(f"{what} was committed, but {item.kind.value} at offset {entry.offset} is lost")

    def _is_done(self, entry: Entry, dead_letters: Counter[RecordName]) -> bool:
        name = name_of(entry)
        if entry.payload.value is None or dead_letters[name]:
            return True
        produced = self._produced[name.timestamp_ms]
        uid = produced.item.uid
        if self._is_stored_as(entry, uid) and (uid in self._database.erased or self.was_skipped(entry)):
            return True
        stored = self._database.orders.get(uid)
        return _is_valid(produced, entry) and stored is not None and stored.source.version >= produced.version

    def _verify_versions(self, dead_letters: Counter[RecordName]) -> None:
        """Verify that the greatest version of each order is stored, and that stored ones are those of valid records."""
        bad = {timestamp for timestamp, _ in dead_letters}
        valid, needed = defaultdict[str, set[Version]](set), defaultdict[str, set[Version]](set)
        for entry in self.records.records():
            produced = self._produced.get(name_of(entry).timestamp_ms)
            if produced is None or entry.payload.value is None or not _is_valid(produced, entry):
                continue
            item = produced.item
            valid[item.uid].add(produced.version)
            may_be_erased = item.uid in self._database.erased or self.was_skipped(entry)
            if not (item.kind.is_bad or produced.is_excused or may_be_erased or item.timestamp_ms in bad):
                needed[item.uid].add(produced.version)
        for uid, versions in valid.items():
            greatest = max(needed[uid], default=(0, 0, 0))
            stored = self._database.orders.get(uid)
            if stored is None and needed[uid]:
                raise Violation(f"{uid} is not stored")
            if stored is not None and (stored.source.version not in versions or stored.source.version < greatest):
                raise Violation(f"{uid} has version {stored.source.version}, not {greatest}")

    def _verify_values(self) -> None:
        """Verify that dead letters have the bytes of their messages, unless these are too large."""
        for entry in self.dead_letters.records():
            name = name_of(entry)
            item = self.item(name)
            values = {item.value} if name.replays == 0 else {each.payload.value for each in self.records.named(*name)}
            if item.kind is not Kind.LARGE and entry.payload.value not in values:
                raise Violation(f"the dead letter of {item} has other bytes")

    def _verify_dead_letters(self, dead_letters: Counter[RecordName], *, exactly_once: bool) -> None:
        records = self.records.counts()
        for name, count in dead_letters.items():
            produced = self._produced[name.timestamp_ms]
            if not produced.item.kind.is_bad and not produced.may_be_rejected:
                raise Violation(f"{produced.item} was dead-lettered")
            if exactly_once and count > max(records[name], 1):
                raise Violation(f"{produced.item} was dead-lettered {count} times")


def _is_valid(produced: Produced, entry: Entry) -> bool:
    """Return whether a record has an order that is stored, also if an edit has made it valid."""
    return not produced.item.kind.is_bad or entry.payload.value == produced.item.valid_value
