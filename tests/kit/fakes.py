"""Fakes of ports of the use cases, and of a clock.

A contract runs on each fake of a port and on what it replaces: tests/integration/test_order_store.py,
test_dead_letters_contract.py, test_expired_orders.py, test_skip_batch.py, test_erasures.py, test_erase_undo.py and
test_distribute.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from service.entities.dead_letter import DeadLetter
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import BatchNotSkipped, DeadLettersUnavailable, OrderRejected, StorageUnavailable
from service.usecases.ports.ingest import CommittableBatch, StoreCounts
from service.usecases.ports.operations import (
    ErasureStatus,
    Placement,
    TableDistribution,
    UnreadableRecordBatch,
)

if TYPE_CHECKING:
    from service.entities.partition import Partition

POISON = "poison"
"""The customer_id of orders that a fake store rejects."""


class FakeStore:
    """Stores orders in memory.

    Each call first raises one of `failures`, if any is left. `reports_index` is whether the error of a rejected
    order contains its index.
    """

    def __init__(self, *, reports_index: bool = True) -> None:
        self.orders: dict[str, VersionedOrder] = {}
        self.failures: list[Exception] = []
        self.calls: list[int] = []
        self._reports_index = reports_index

    @staticmethod
    def prepare(order: Order, source: RecordCoordinates, document: bytes | None) -> VersionedOrder:  # noqa: ARG004 - as the port
        return VersionedOrder(order, source)

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        self.calls.append(len(orders))
        if self.failures:
            raise self.failures.pop(0)
        for index, versioned in enumerate(orders):
            if versioned.order.customer_id == POISON:
                reported = index if self._reports_index else None
                raise OrderRejected("rejected", sqlstate="23514", where="orders no_poison", index=reported)
        return sum(map(self._store_one, orders), start=StoreCounts())

    def _store_one(self, versioned: VersionedOrder) -> StoreCounts:
        uid = versioned.order.order_uid
        stored = self.orders.get(uid)
        if stored is not None and not versioned.source.is_newer_than(stored.source):
            return StoreCounts(unchanged=1) if versioned == stored else StoreCounts(stale=1)
        self.orders[uid] = versioned
        return _change(stored.order if stored else None, versioned.order)


def _change(stored: Order | None, order: Order) -> StoreCounts:
    if stored is None:
        return StoreCounts(new=1)
    return StoreCounts(unchanged=1) if stored == order else StoreCounts(replaced=1)


class FakeDeadLetters:
    """Stores dead letters in memory. While `refusals` is positive, a call stores one, decrements it and fails."""

    def __init__(self, *, commits: bool = False) -> None:
        self.sent: list[DeadLetter] = []
        self.refusals = 0
        self._commits = commits
        self.committed: list[Mapping[Partition, int]] = []

    def send_and_commit(self, batch: CommittableBatch, dead_letters: Sequence[DeadLetter]) -> bool:
        if not self.refusals:
            self.sent.extend(dead_letters)
            self.committed += [batch.commit_offsets] if self._commits else []
            return self._commits
        if not dead_letters:
            return False
        self.refusals -= 1
        self.sent.extend(dead_letters[:1])
        raise DeadLettersUnavailable("the topic is unavailable", dead_letters[1:])


class FakeExpiredOrders:
    """`total` expired orders. A transaction takes `seconds` of the clock."""

    def __init__(self, total: int, clock: "FakeClock", seconds: float = 0.0) -> None:
        self._left = total
        self._clock = clock
        self._seconds = seconds

    def count(self) -> int:
        return self._left

    def delete_oldest(self, limit: int) -> int:
        self._clock.advance(self._seconds)
        deleted = min(limit, self._left)
        self._left -= deleted
        return deleted


class FakeRecordBatchSource:
    """A topic whose group is blocked by one batch. `lines` are its remaining messages; then `error` is raised."""

    def __init__(
        self, batch: UnreadableRecordBatch, lines: int, *, is_compacted: bool = False, error: Exception | None = None
    ) -> None:
        self._batch = batch
        self._lines = lines
        self._is_compacted = is_compacted
        self._error = error
        self.committed: list[UnreadableRecordBatch] = []

    def find(self, partition: int, offset: int) -> UnreadableRecordBatch:
        if (partition, offset) != (self._batch.partition, self._batch.begin):
            raise BatchNotSkipped(f"offset {offset} of partition {partition} is not in the batch that blocks the group")
        return self._batch

    def lines(self, batch: UnreadableRecordBatch) -> Iterator[bytes]:
        for offset in range(batch.begin, batch.begin + self._lines):
            yield b'{"offset":%d}\n' % offset
        if self._error:
            raise self._error

    def is_compacted(self) -> bool:
        return self._is_compacted

    def commit(self, batch: UnreadableRecordBatch) -> None:
        self.committed.append(batch)


class FakeErasureStore:
    """`ages_seconds` are those of erased orders; the others were erased just now."""

    def __init__(
        self,
        stored: Collection[str] = (),
        erased: Collection[str] = (),
        ages_seconds: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.stored = {*stored}
        self.erased = {*erased}
        self._ages_seconds = ages_seconds

    def status(self, uids: Sequence[str]) -> ErasureStatus:
        return ErasureStatus(self.stored & {*uids}, self.erased & {*uids})

    def erase(self, uids: Sequence[str]) -> set[str]:
        removed = self.stored & {*uids}
        self.stored -= removed
        self.erased |= {*uids}
        return removed

    def undo(self, uids: Sequence[str]) -> None:
        self.erased -= {*uids}

    def count_older_than(self, seconds: float) -> int:
        return len(self._older_than(seconds))

    def forget_older_than(self, seconds: float) -> int:
        forgotten = self._older_than(seconds)
        self.erased -= forgotten
        return len(forgotten)

    def _older_than(self, seconds: float) -> set[str]:
        return {uid for uid in self.erased if self._ages_seconds.get(uid, 0) > seconds}


class FakeOrderRecords:
    """An order topic of one partition, with one record for each of these uids."""

    def __init__(self, *uids: str) -> None:
        self._records = [*uids]
        self._next = 0

    def produce(self, uid: str) -> None:
        self._records.append(uid)

    def find(self, uids: Collection[str]) -> dict[str, str]:
        start, self._next = self._next, len(self._records)
        unread = range(start, self._next)
        offsets = {self._records[offset]: offset for offset in reversed(unread)}
        return {uid: f"orders, partition 0, offset {offsets[uid]}" for uid in uids if uid in offsets}


class FakeTableDistributor:
    """A table and another one that references it, by default on a suitable server and not distributed."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.version = (2, 2)
        self.placements = {"orders": Placement.LOCAL, "items": Placement.LOCAL}
        self.foreign_keys: list[str] = []
        self.writers = 0

    def server_problem(self) -> str | None:
        return self.problem

    def schema_version(self) -> tuple[int, int]:
        return self.version

    def tables(self) -> Sequence[TableDistribution]:
        return [TableDistribution(name, placement, 0) for name, placement in self.placements.items()]

    def foreign_keys_of_others(self) -> Sequence[str]:
        return self.foreign_keys

    def connected_writers(self) -> int:
        return self.writers

    def distribute(self, table: TableDistribution) -> None:
        remaining = [name for name, placement in self.placements.items() if placement is Placement.LOCAL]
        if remaining[:1] != [table.name]:
            raise StorageUnavailable("it is already distributed, or a table that it references is not")
        self.placements[table.name] = Placement.DISTRIBUTED


class FakeClock:
    """Seconds of time.monotonic() and time.time(), which pass only when a test advances them."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
