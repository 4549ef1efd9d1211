"""A simulated PostgreSQL at the level of usecases.ports.ingest.OrderStore: transactions, versions, failures."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final

from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import ConcurrentChange, OrderRejected, StatementTimedOut, StorageUnavailable
from service.usecases.ports.ingest import StoreCounts
from tests.kit.fakes import POISON, FakeStore
from tests.simulation.advisory_lock import AdvisoryLock
from tests.simulation.scheduler import Scheduler
from tests.simulation.timeline import Timeline

STATEMENT_TIMEOUT_SECONDS: Final = 10.0
"""Instead of 30 s."""
IDLE_TIMEOUT_SECONDS: Final = 5.0
"""How long a suspended client may leave its transaction open."""
MAX_SECONDS: Final = 0.08
"""How long a transaction takes at most without a fault."""


class Failure(Enum):
    """What happens to the next transaction."""

    ANSWER_LOST = "the answer to COMMIT is lost"
    CONNECTION_LOST = "the connection is lost before COMMIT"
    SERIALIZATION = "serialization failure"
    TIMEOUT = "statement timeout"
    SLOW = "slow"


@dataclass(slots=True)
class Database:
    """The tables, shared by all members."""

    scheduler: Scheduler
    random: Random
    timeline: Timeline
    table: FakeStore = field(default_factory=FakeStore)
    failures: deque[Failure] = field(default_factory=deque)
    """Of the next transactions."""
    down_until: float = 0.0
    rejects_all_until: float = 0.0
    erased: set[str] = field(default_factory=set)
    on_undone: Callable[[str], None] = lambda _: None
    """Called when an order may be stored again."""
    lock: AdvisoryLock = field(init=False)

    def __post_init__(self) -> None:
        self.lock = AdvisoryLock(self.scheduler)

    @property
    def orders(self) -> dict[str, VersionedOrder]:
        return self.table.orders

    @property
    def is_rejecting_all(self) -> bool:
        return self.scheduler.now < self.rejects_all_until

    def stop(self, seconds: float) -> None:
        self.down_until = max(self.down_until, self.scheduler.now + seconds)

    def reject_all(self, seconds: float) -> None:
        """Reject every order, as a constraint that someone has added would."""
        self.rejects_all_until = max(self.rejects_all_until, self.scheduler.now + seconds)


class Session:
    """A connection of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._expires_at = 0.0
        """When the server ends the current transaction, because its client does nothing."""

    @property
    def is_connected(self) -> bool:
        return self._database.scheduler.now <= self._expires_at

    def _take_failure(self) -> Failure | None:
        database = self._database
        if not database.failures:
            return None
        database.timeline.add(f"PostgreSQL: {database.failures[0].value}")
        return database.failures.popleft()

    def _delay(self, seconds: float) -> None:
        """Wait within a transaction. Raises StorageUnavailable if this member was suspended for too long meanwhile."""
        scheduler = self._database.scheduler
        self._expires_at = scheduler.now + seconds + IDLE_TIMEOUT_SECONDS
        scheduler.delay(seconds)
        if not self.is_connected:
            raise StorageUnavailable("idle transaction timeout", sqlstate="25P03")

    def _require_server(self) -> None:
        if self._database.scheduler.now < self._database.down_until:
            raise StorageUnavailable("connection refused")

    def _work(self, failure: Failure | None) -> None:
        """Wait for the statements of a transaction."""
        self._delay(self._database.random.uniform(0, MAX_SECONDS) + (2.5 if failure is Failure.SLOW else 0))
        self._require_server()

    def _fail(self, failure: Failure | None) -> None:
        """Raise the error of a transaction that fails."""
        if failure is Failure.TIMEOUT:
            self._delay(STATEMENT_TIMEOUT_SECONDS)
            raise StatementTimedOut("statement timeout", sqlstate="57014")
        if failure is Failure.CONNECTION_LOST:
            raise StorageUnavailable("connection lost")
        if failure is Failure.SERIALIZATION:
            raise ConcurrentChange("serialization failure", sqlstate="40001")

    def _answer(self, failure: Failure | None) -> None:
        """Raise StorageUnavailable if the answer to COMMIT is lost."""
        if failure is Failure.ANSWER_LOST:
            self._delay(1)
            raise StorageUnavailable("connection lost")
        self._delay(self._database.random.uniform(0, 0.005))


class SimulatedStore(Session):
    """The connection of one member."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.is_storing = False

    def prepare(self, order: Order, source: RecordCoordinates, document: bytes | None) -> VersionedOrder:
        return FakeStore.prepare(order, source, document)

    def store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        self.is_storing = True
        try:
            return self._store(orders)
        finally:
            self.is_storing = False

    def _store(self, orders: Sequence[VersionedOrder]) -> StoreCounts:
        database = self._database
        failure = self._take_failure()
        self._delay(database.random.uniform(0, 0.005))
        self._require_server()
        with database.lock.shared(self):
            counts = self._write(orders, failure)
        self._answer(failure)
        return counts

    def _write(self, orders: Sequence[VersionedOrder], failure: Failure | None) -> StoreCounts:
        """Run a transaction, except for the answer to its COMMIT. Skip orders that are erased when it begins."""
        database = self._database
        erased = {each.order.order_uid for each in orders} & database.erased
        orders = [each for each in orders if each.order.order_uid not in erased]
        before = {each.order.order_uid: database.orders.get(each.order.order_uid) for each in orders}
        self._work(failure)
        self._reject(orders)
        self._fail(failure)
        if any(database.orders.get(uid) != order for uid, order in before.items()):
            raise ConcurrentChange("serialization failure", sqlstate="40001")
        counts = database.table.store(orders) + StoreCounts(erased=len(erased))
        database.timeline.add(f"stores {len(orders)} orders: {_summary(orders)}")
        return counts

    def _reject(self, orders: Sequence[VersionedOrder]) -> None:
        """Reject what a constraint forbids. Orders that are not newer than the stored ones are not written."""
        for index, versioned in enumerate(orders):
            stored = self._database.orders.get(versioned.order.order_uid)
            is_written = stored is None or versioned.source.is_newer_than(stored.source)
            if is_written and (self._database.is_rejecting_all or versioned.order.customer_id == POISON):
                raise OrderRejected("rejected", sqlstate="23514", where="orders no_poison", index=index)


def _summary(orders: Sequence[VersionedOrder]) -> str:
    return ", ".join(f"{each.source.partition}:{each.source.offset}" for each in orders)
