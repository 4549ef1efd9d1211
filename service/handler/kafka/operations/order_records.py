"""Searches the topics of the group for records of orders. Implements `usecases.ports.operations.OrderRecords`."""

from collections.abc import Callable, Collection

from confluent_kafka import Consumer

from service.entities.subscription import Subscription
from service.errors import Stopped
from service.handler.kafka.client.topic_reader import Offsets, open_topic, topics_of
from service.usecases.ownership import order_of


class KafkaOrderRecords:
    """Belongs to one thread. Each search starts where the previous one ended."""

    def __init__(self, consumer: Consumer, subscription: Subscription, should_stop: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._subscription = subscription
        self._should_stop = should_stop
        self._next: dict[str, Offsets] = {}

    def find(self, uids: Collection[str]) -> dict[str, str]:
        """Return the coordinates of the first record of each of these orders. Raises Stopped."""
        found: dict[str, str] = {}
        for topic in topics_of(self._subscription, self._consumer):
            found = self._find_in(topic, uids) | found
        return found

    def _find_in(self, name: str, uids: Collection[str]) -> dict[str, str]:
        topic = open_topic(self._consumer, name)
        starts, self._next[name] = self._next.get(name, topic.starts), topic.ends
        found: dict[str, str] = {}
        for record in topic.read(starts, self._should_stop) if uids else ():
            if record.value and (uid := order_of(record.key, record.value, [*uids])) is not None:
                found.setdefault(uid, f"{topic.name}, partition {record.partition}, offset {record.offset}")
        if self._should_stop():
            raise Stopped(f"interrupted before the end of topic {topic.name}: run the command again")
        return found
