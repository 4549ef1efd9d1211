"""Searches the order topic for records of orders. Implements `usecases.ports.operations.OrderRecords`."""

from collections.abc import Callable, Collection

from confluent_kafka import Consumer

from service.errors import Stopped
from service.handler.kafka.client.topic_reader import Offsets, open_topic
from service.usecases.ownership import order_of


class KafkaOrderRecords:
    """Belongs to one thread. Each search starts where the previous one ended."""

    def __init__(self, consumer: Consumer, topic: str, should_stop: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._should_stop = should_stop
        self._next: Offsets | None = None

    def find(self, uids: Collection[str]) -> dict[str, str]:
        """Return the coordinates of the first record of each of these orders. Raises Stopped."""
        topic = open_topic(self._consumer, self._topic)
        starts, self._next = self._next or topic.starts, topic.ends
        found: dict[str, str] = {}
        for record in topic.read(starts, self._should_stop) if uids else ():
            if record.value and (uid := order_of(record.key, record.value, [*uids])) is not None:
                found.setdefault(uid, f"{topic.name}, partition {record.partition}, offset {record.offset}")
        if self._should_stop():
            raise Stopped(f"interrupted before the end of topic {topic.name}: run the command again")
        return found
