"""Processes that erase an order and undo it, with the product's use cases and readers, and simulated servers."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters import reading
from service.handler.kafka.operations.order_records import KafkaOrderRecords
from service.usecases.erase import ErasureState, erase, undo
from service.usecases.ports.operations import ErasureStatus
from tests.simulation.broker import Broker
from tests.simulation.database import Database, Session
from tests.simulation.erasure_checker import ErasureChecker
from tests.simulation.member import DEAD_LETTER_TOPIC, KAFKA
from tests.simulation.operation import Attempt, connected_consumer
from tests.simulation.plan import Stage
from tests.simulation.violation import Violation


class SimulatedErasures(Session):
    """Implements usecases.ports.operations.ErasureStore, except that erasures have no age."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.undone: set[str] = set()

    def status(self, uids: Sequence[str]) -> ErasureStatus:
        self._begin()
        database = self._database
        return ErasureStatus(database.orders.keys() & {*uids}, database.erased & {*uids})

    def erase(self, uids: Sequence[str]) -> set[str]:
        database = self._database
        self._begin()
        failure = self._take_failure()
        with database.lock.exclusive(self):
            self._work(failure)
            self._fail(failure)
            stored = database.orders.keys() & {*uids}
            for uid in stored:
                del database.orders[uid]
            database.erased |= {*uids}
            database.timeline.add(f"erases {', '.join(uids)}")
        self._answer(failure)
        return stored

    def undo(self, uids: Sequence[str]) -> None:
        database = self._database
        self._begin()
        failure = self._take_failure()
        self._work(failure)
        self._fail(failure)
        self.undone |= {*uids}
        for uid in database.erased & {*uids}:
            database.erased.remove(uid)
            database.on_undone(uid)
            database.timeline.add(f"undoes the erasure of {uid}")
        self._answer(failure)

    def count_older_than(self, seconds: float) -> int:
        raise NotImplementedError

    def forget_older_than(self, seconds: float) -> int:
        raise NotImplementedError

    def _begin(self) -> None:
        self._delay(self._database.random.uniform(0, 0.005))
        self._require_server()


class SimulatedErasure:
    """`orders erase UID`, and later `orders erase --undo UID`."""

    def __init__(self, uid: str, broker: Broker, database: Database, checker: ErasureChecker) -> None:
        self._uid = uid
        self._broker = broker
        self._database = database
        self._checker = checker

    def erase(self, attempt: Attempt) -> None:
        """Raise OrdersError unless the order is erased and its dead letters are listed."""
        with attempt.within(Stage.ERASING):
            erase([self._uid], SimulatedErasures(self._database))
        self._checker.on_acknowledged(self._uid)
        with attempt.within(Stage.LISTING), closing(self._consumer(attempt)) as consumer:
            before = self._checker.dead_letters_of(self._uid)
            found = reading.search(open_topic(consumer, DEAD_LETTER_TOPIC), [self._uid], attempt.stop)
            listed = {dead_letter.id for dead_letter, uid in found if uid == self._uid}
        self._checker.verify_listed(before, listed)

    def undo(self, attempt: Attempt) -> None:
        """Raise OrdersError if the undo fails, but not if it is refused, because records of the order exist."""
        with attempt.within(Stage.UNDOING), closing(self._consumer(attempt)) as consumer:
            records = KafkaOrderRecords(consumer, KAFKA.subscription, attempt.stop.is_set)
            erasures = SimulatedErasures(self._database)
            result = undo([self._uid], erasures, records)
        if result.existing and erasures.undone:
            raise Violation(f"the erasure of {self._uid} was undone, although a record exists")
        if result.state(self._uid) is ErasureState.UNDONE and result.record(self._uid) is None:
            self._checker.verify_undone(self._uid)
        self._broker.timeline.add(f"{self._uid}: {result.state(self._uid)}, record {result.record(self._uid)}")

    def _consumer(self, attempt: Attempt) -> Any:
        return connected_consumer(self._broker, attempt, properties.silent_consumer(KAFKA))
