"""The invariants: what must be true at every commit, and at the end."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.entities.dead_letter_headers import read_origin
from service.entities.version import RecordCoordinates, Version
from tests.simulation.broker import Broker
from tests.simulation.coordinator import Key, Offset
from tests.simulation.database import Database
from tests.simulation.partition_log import Entry, PartitionLog, State
from tests.simulation.plan import MAX_CONSECUTIVE, MIN_REJECTED, PROBE_MESSAGES, RETRY_AFTER_SECONDS, FaultKind, Plan
from tests.simulation.scheduler import START_SECONDS
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
        self._dead_letter_topic = dead_letter_topic
        self._produced: dict[int, Produced] = {}
        """By timestamp."""

    def on_produced(self, item: Item, entry: Entry) -> None:
        produced = Produced(item, entry.offset, may_be_rejected=self._database.is_rejecting_all)
        self._produced[item.timestamp_ms] = produced

    def on_deleted(self, entries: Iterable[Entry]) -> None:
        """Excuse records that are deleted before they are processed."""
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
        dead_letters = self.dead_letters()
        for key, committed in offsets.items():
            log = self._broker.log(key)
            if log is None or not self._is_current(key, committed):
                continue
            self._verify_done(log, committed.offset, dead_letters, f"offset {committed.offset} of partition {key[1]}")

    def verify_end(self, *, exactly_once: bool) -> None:
        dead_letters = self.dead_letters()
        for key in self._broker.keys(self._topic):
            log = self._broker.log(key)
            assert log is not None
            self._verify_done(log, log.end, dead_letters, f"the end of partition {key[1]}")
        self._verify_versions(dead_letters)
        self._verify_values()
        self._verify_dead_letters(dead_letters, exactly_once=exactly_once)

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
        logs = self._broker.topics[self._dead_letter_topic].logs
        return [entry.payload.timestamp_ms / 1_000 - START_SECONDS for log in logs for entry in log.visible()]

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
        produced = self._produced.get(entry.payload.timestamp_ms)
        return produced is not None and produced.item.kind is Kind.POISON

    def dead_letters(self) -> Counter[int]:
        """Return how often each record, by its timestamp, is in the dead-letter topic."""
        logs = self._broker.topics[self._dead_letter_topic].logs
        origins = [read_origin(entry.payload.headers) for log in logs for entry in log.visible()]
        return Counter(origin.timestamp_ms for origin in origins if origin and self._is_known(origin))

    def _is_known(self, origin: RecordCoordinates) -> bool:
        """Verify that a dead letter names its record."""
        produced = self._produced.get(origin.timestamp_ms)
        if produced is None or (origin.partition, origin.offset) != (produced.item.partition, produced.offset):
            raise Violation(f"a dead letter has the unknown origin {origin}")
        return True

    def _is_current(self, key: Key, committed: Offset) -> bool:
        """Return whether an offset is not one of a deleted topic of the same name."""
        topic = self._broker.topics.get(key[0])
        return topic is not None and committed.metadata in {"", topic.commit_metadata}

    def _verify_done(self, log: PartitionLog, end: int, dead_letters: Counter[int], what: str) -> None:
        for entry in log.entries[: max(end - log.start, 0)]:
            if entry.state is State.OPEN:
                raise Violation(f"{what} is behind an open transaction at offset {entry.offset}")
            if entry.state is State.VISIBLE and not self._is_done(
                self._produced[entry.payload.timestamp_ms], dead_letters
            ):
                item = self._produced[entry.payload.timestamp_ms].item
                raise Violation(f"{what} was committed, but {item.kind.value} at offset {entry.offset} is lost")

    def _is_done(self, produced: Produced, dead_letters: Counter[int]) -> bool:
        if produced.item.value is None or dead_letters[produced.item.timestamp_ms]:
            return True
        stored = self._database.orders.get(produced.item.uid)
        return not produced.item.kind.is_bad and stored is not None and stored.source.version >= produced.version

    def _verify_versions(self, dead_letters: Counter[int]) -> None:
        versions: defaultdict[str, dict[Version, Produced]] = defaultdict(dict)
        for each in self._produced.values():
            if not each.item.kind.is_bad and each.item.value is not None:
                versions[each.item.uid][each.version] = each
        for uid, found in versions.items():
            needed = [
                v for v, each in found.items() if not each.is_excused and not dead_letters[each.item.timestamp_ms]
            ]
            stored = self._database.orders.get(uid)
            if stored is None and needed:
                raise Violation(f"{uid} is not stored")
            if stored is not None and (
                stored.source.version not in found or stored.source.version < max(needed, default=(0, 0, 0))
            ):
                raise Violation(f"{uid} has version {stored.source.version}, not {max(needed)}")

    def _verify_values(self) -> None:
        """Verify that dead letters have the bytes of their messages, unless these are too large."""
        for log in self._broker.topics[self._dead_letter_topic].logs:
            for entry in log.visible():
                origin = read_origin(entry.payload.headers)
                item = self._produced[origin.timestamp_ms].item if origin else None
                if item and item.kind is not Kind.LARGE and entry.payload.value != item.value:
                    raise Violation(f"the dead letter of {item} has other bytes")

    def _verify_dead_letters(self, dead_letters: Counter[int], *, exactly_once: bool) -> None:
        for timestamp, count in dead_letters.items():
            produced = self._produced[timestamp]
            if not produced.item.kind.is_bad and not produced.may_be_rejected:
                raise Violation(f"{produced.item} was dead-lettered")
            if exactly_once and count > 1:
                raise Violation(f"{produced.item} was dead-lettered {count} times")
