"""The consumer group of a scenario, as seen by a client that is not a member."""

from collections.abc import Sequence
from contextlib import closing

import confluent_kafka
from confluent_kafka import TopicPartition

from generator.actual import GroupProgress, open_consumer, progress
from tests.faults.topics import ADMIN_SECONDS, PARTITIONS


class Group:
    """A consumer group that reads some topics."""

    def __init__(self, bootstrap_servers: str, group_id: str, topics: Sequence[str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group_id = group_id
        self._topics = topics

    def produced(self) -> int:
        """Return the number of messages in the topics."""
        with closing(self.open_reader()) as reader:
            return self.progress(reader).produced

    def committed(self) -> int:
        """Return the number of messages that the group has committed."""
        with closing(self.open_reader()) as reader:
            reached = self.progress(reader)
        return reached.produced - reached.lag

    def has_committed_all(self, topic_id: str) -> bool:
        """Return whether the committed offsets are the ends of the only topic, which has this id."""
        metadata = f"topic-id={topic_id}"
        (topic,) = self._topics
        partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        with closing(self.open_reader()) as reader:
            committed = reader.committed(partitions, timeout=ADMIN_SECONDS)
            ends = [reader.get_watermark_offsets(each, timeout=ADMIN_SECONDS)[1] for each in partitions]
        return [(each.offset, each.metadata) for each in committed] == [(end, metadata) for end in ends]

    def commit(self, offsets: dict[int, int], metadata: str) -> None:
        """Commit offsets of the only topic. The group must have no members."""
        (topic,) = self._topics
        positions = [TopicPartition(topic, partition, offset, metadata) for partition, offset in offsets.items()]
        with closing(self.open_reader()) as reader:
            reader.commit(offsets=positions, asynchronous=False)

    def open_reader(self) -> confluent_kafka.Consumer:
        """Return a `read_committed` consumer that does not join the group; the caller closes it."""
        return open_consumer(self._bootstrap_servers, self._group_id, {"isolation.level": "read_committed"})

    def progress(self, reader: confluent_kafka.Consumer) -> GroupProgress:
        """Return the sum of all topics. Raises CommandFailed."""
        produced, lags = zip(*(progress(reader, topic) for topic in self._topics), strict=True)
        return GroupProgress(sum(produced), sum(lags))
