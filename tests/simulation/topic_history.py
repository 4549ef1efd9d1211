"""All records that a topic has had, also those that retention, or a deletion of the topic, has removed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from service.entities.dead_letter_headers import read_replays
from tests.simulation.broker import Broker
from tests.simulation.partition_log import Entry, PartitionLog, State


class RecordName(NamedTuple):
    """Identifies an item, and each of its replays."""

    timestamp_ms: int
    """Of the first record."""
    replays: int


def name_of(entry: Entry) -> RecordName:
    if entry.origin is None:
        return RecordName(entry.payload.timestamp_ms, 0)
    return RecordName(entry.origin.timestamp_ms, read_replays(entry.payload.headers))


class TopicHistory:
    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic
        self._deleted: list[Entry] = []

    def on_deleted(self, entries: Iterable[Entry]) -> None:
        self._deleted += [each for each in entries if each.state is State.VISIBLE]

    @property
    def present(self) -> list[tuple[int, Entry]]:
        """The visible records that are not deleted, with their partitions."""
        return [(partition, entry) for partition, log in enumerate(self._logs) for entry in log.visible()]

    @property
    def readable(self) -> list[tuple[int, Entry]]:
        """Those before open transactions."""
        stable = [log.last_stable for log in self._logs]
        return [(partition, entry) for partition, entry in self.present if entry.offset < stable[partition]]

    @property
    def _logs(self) -> Sequence[PartitionLog]:
        topic = self._broker.topics.get(self._topic)
        return topic.logs if topic else ()

    def records(self) -> Iterable[Entry]:
        """Return each record that was ever visible."""
        return chain(self._deleted, (entry for _, entry in self.present))

    def named(self, timestamp_ms: int, replays: int) -> list[Entry]:
        """Return the records of one item after this number of replays."""
        return [each for each in self.records() if name_of(each) == (timestamp_ms, replays)]

    def counts(self) -> Counter[RecordName]:
        return Counter(map(name_of, self.records()))
