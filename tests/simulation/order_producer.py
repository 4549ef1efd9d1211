"""The producer of the order topic."""

from collections.abc import Iterable
from functools import partial

from tests.simulation.broker import Broker
from tests.simulation.checker import Checker
from tests.simulation.partition_log import PartitionLog, Payload
from tests.simulation.scheduler import START_SECONDS
from tests.simulation.workload import Item, Kind

RETRY_SECONDS = 0.2


class OrderProducer:
    """Produces each item once, as soon as Kafka acknowledges it."""

    def __init__(self, broker: Broker, checker: Checker, topic: str) -> None:
        self._broker = broker
        self._checker = checker
        self._topic = topic
        self.unsent = 0
        self.open_transactions = 0
        self._last_ms = 1_000_000

    @property
    def is_done(self) -> bool:
        return not (self.unsent or self.open_transactions)

    def schedule(self, items: Iterable[Item]) -> None:
        for item in items:
            self.unsent += 1
            self._broker.scheduler.call_at(START_SECONDS + item.at, partial(self._produce, item))

    def open_transaction(self, target: int, seconds: float, *, commit: bool) -> None:
        """Produce two orders in a transaction, and end it after these seconds."""
        keys = self._broker.keys(self._topic)
        if not keys:
            return
        key = keys[target % len(keys)]
        log = self._log(key[1])
        if log is None:
            return
        name = f"transaction-{self._last_ms}"
        items = [Item(0, key[1], Kind.ORDER, name, self._next_ms()) for _ in range(2)]
        entries = [log.append(Payload(None, item.value, None, item.timestamp_ms), name) for item in items]
        self.open_transactions += 1

        def end() -> None:
            self.open_transactions -= 1
            if commit and self._log(key[1]) is log:
                for item, entry in zip(items, entries, strict=True):
                    self._checker.on_produced(item, entry)
            self._broker.end_transaction(name, commit=commit)

        self._broker.scheduler.call_later(seconds, end)

    def produce_one_each(self) -> None:
        """Produce one order to each partition."""
        for _, partition in self._broker.keys(self._topic):
            self.unsent += 1
            timestamp = self._next_ms()
            self._produce(Item(0, partition, Kind.ORDER, f"last-{timestamp}", timestamp))

    def _next_ms(self) -> int:
        self._last_ms += 1
        return self._last_ms

    def _produce(self, item: Item) -> None:
        log = self._log(item.partition) if self._broker.is_up else None
        if log is None:
            self._broker.scheduler.call_later(RETRY_SECONDS, partial(self._produce, item))
            return
        self.unsent -= 1
        entry = log.append(Payload(None, item.value, None, item.timestamp_ms))
        self._checker.on_produced(item, entry)

    def _log(self, partition: int) -> PartitionLog | None:
        return self._broker.log((self._topic, partition))
