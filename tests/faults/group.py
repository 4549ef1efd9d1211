"""The consumer group of a scenario, as seen by a client that is not a member."""

from contextlib import closing

import confluent_kafka
from confluent_kafka import TopicPartition

from generator.actual import GroupProgress, open_consumer, progress
from tests.faults.topics import ADMIN_SECONDS, PARTITIONS


class Group:
    """A consumer group that reads one topic."""

    def __init__(self, bootstrap_servers: str, group_id: str, topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group_id = group_id
        self._topic = topic

    def produced(self) -> int:
        """Return the number of messages in the topic."""
        return self._progress().produced

    def committed(self) -> int:
        """Return the number of messages that the group has committed."""
        reached = self._progress()
        return reached.produced - reached.lag

    def has_committed_all(self, topic_id: str) -> bool:
        """Return whether the committed offsets are the ends of the topic, and of the topic with this id."""
        metadata = f"topic-id={topic_id}"
        partitions = [TopicPartition(self._topic, partition) for partition in range(PARTITIONS)]
        with closing(self.open_reader()) as reader:
            committed = reader.committed(partitions, timeout=ADMIN_SECONDS)
            ends = [reader.get_watermark_offsets(each, timeout=ADMIN_SECONDS)[1] for each in partitions]
        return [(each.offset, each.metadata) for each in committed] == [(end, metadata) for end in ends]

    def commit(self, offsets: dict[int, int], metadata: str) -> None:
        """Commit offsets. The group must have no members."""
        positions = [TopicPartition(self._topic, partition, offset, metadata) for partition, offset in offsets.items()]
        with closing(self.open_reader()) as reader:
            reader.commit(offsets=positions, asynchronous=False)

    def open_reader(self) -> confluent_kafka.Consumer:
        """Return a `read_committed` consumer that does not join the group; the caller closes it."""
        return open_consumer(self._bootstrap_servers, self._group_id, {"isolation.level": "read_committed"})

    def _progress(self) -> GroupProgress:
        with closing(self.open_reader()) as reader:
            return progress(reader, self._topic)
