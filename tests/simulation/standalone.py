"""The simulated parts without a simulation, for the contract tests that real servers pass, too.

The thread of the test runs the virtual clock whenever it waits in a call.
"""

from random import Random
from typing import Any, Final

from tests.kit.temporary import PARTITIONS
from tests.simulation.broker import Broker
from tests.simulation.client import SimulatedConsumer
from tests.simulation.coordinator import Coordinator
from tests.simulation.database import Database, SimulatedStore
from tests.simulation.erasure import SimulatedErasures
from tests.simulation.partition_log import Payload
from tests.simulation.producer import SimulatedProducer
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.timeline import Timeline

SESSION_SECONDS: Final = 6.0
MAX_POLL_SECONDS: Final = 300.0


class SimulatedKafka:
    """A broker with this topic, and clients of it."""

    def __init__(self, topic: str) -> None:
        random = Random(1)  # noqa: S311 - must be reproducible
        self.scheduler = Scheduler(random)
        coordinator = Coordinator(lambda: self.broker.keys(topic), SESSION_SECONDS, MAX_POLL_SECONDS)
        self.broker = Broker(self.scheduler, random, Timeline(self.scheduler), coordinator)
        self.broker.create_topic(topic, PARTITIONS)
        self._topic = topic
        self._clients = 0

    def append(self, partition: int, *values: bytes) -> None:
        log = self.broker.log((self._topic, partition))
        assert log is not None
        for value in values:
            log.append(Payload(None, value, None, round(self.scheduler.now * 1_000)))

    def consumer(self, properties: dict[str, Any]) -> SimulatedConsumer:
        self._clients += 1
        polls = {"max.poll.interval.ms": MAX_POLL_SECONDS * 1_000}
        return SimulatedConsumer(self.broker, Process(f"client {self._clients}"), polls | properties)

    def producer(self, properties: dict[str, Any]) -> SimulatedProducer:
        return SimulatedProducer(self.broker, properties)


def simulated_store() -> SimulatedStore:
    return simulated_stores()[0]


def simulated_stores() -> tuple[SimulatedStore, SimulatedErasures]:
    """Return two connections of one database."""
    random = Random(1)  # noqa: S311 - must be reproducible
    scheduler = Scheduler(random)
    database = Database(scheduler, random, Timeline(scheduler))
    return SimulatedStore(database), SimulatedErasures(database)
