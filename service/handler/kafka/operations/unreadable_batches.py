"""Finds and reads a batch that the client cannot decompress within `receive.message.max.bytes`.

Implements `usecases.ports.operations.RecordBatchSource`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition
from msgspec.json import encode

from service.errors import BatchNotSkipped, KafkaRequestFailed
from service.handler.kafka.client import error_codes, topics
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.record import position_of, record_of
from service.handler.kafka.client.topic_reader import TopicReader, poll_messages
from service.handler.kafka.client.translate import translate, translated
from service.usecases.ports.operations import UnreadableRecordBatch

LARGEST_MAX_SIZE_BYTES: Final = 2**31 - 1
"""The maximum of `receive.message.max.bytes`."""
GROUP_PROPERTIES: Final = {
    "fetch.error.backoff.ms": 10,  # the delay after each batch that cannot be decompressed; 500 by default
    "auto.offset.reset": "error",  # if retention deletes the batch meanwhile, fail instead of skipping another one
}


class UnreadableRecordBatches:
    """`consumer` has the size limit of the group's consumers, `large_consumer` a greater one. Not thread-safe."""

    def __init__(
        self, consumer: Consumer, large_consumer: Consumer, admin: DiagnosticAdminClient, topic: TopicReader
    ) -> None:
        self._consumer = consumer
        self._large_consumer = large_consumer
        self._admin = admin
        self._topic = topic

    @translated()
    def find(self, partition: int, offset: int) -> UnreadableRecordBatch:
        """Return the batch that blocks the group. Raises BatchNotSkipped if no batch or another one does."""
        topic = self._topic
        if partition not in topic.ends:
            raise BatchNotSkipped(f"topic {topic.name} has no partition {partition}")
        start = topic.starts[partition]
        begin = max(topic.committed().get(partition, start), start)
        base = self._base_offset(partition, begin)
        if base is None:
            raise BatchNotSkipped(f"partition {partition} is readable at the group's offset {begin}")
        if offset not in (base, begin):
            raise BatchNotSkipped(
                f"offset {offset} of partition {partition} is not in the batch that blocks the group: "
                f"the group's offset is {begin}, in a batch that starts at {base}"
            )
        later = range(begin + 1, topic.ends[partition])
        index = bisect_left(later, x=True, key=lambda each: self._base_offset(partition, each) != base)
        return UnreadableRecordBatch(partition, begin, begin + 1 + index)

    def lines(self, batch: UnreadableRecordBatch) -> Iterator[bytes]:
        """Yield the messages of the batch as lines of JSON. Raises KafkaRequestFailed if it exceeds --max-size."""
        with translated():
            yield from map(_line, self._read(batch))

    def is_compacted(self) -> bool:
        return topics.is_compacted(self._topic.name, self._admin)

    def commit(self, batch: UnreadableRecordBatch) -> None:
        self._topic.commit({batch.partition: batch.end})

    def _base_offset(self, partition: int, offset: int) -> int | None:
        """Return the first offset of the unreadable batch at this offset; None if the client can read there.

        Brokers always return whole batches, and the client's error has the first offset of the batch.
        """
        self._consumer.assign([TopicPartition(self._topic.name, partition, offset)])
        message = next(poll_messages(self._consumer))
        error = message.error()
        if error is None or error.code() == error_codes.PARTITION_EOF:
            return None
        if error.code() != error_codes.BAD_COMPRESSION:
            raise translate(error)
        return position_of(message)[-1]

    def _read(self, batch: UnreadableRecordBatch) -> Iterator[Message]:
        """Yield the messages of the batch. Raises KafkaRequestFailed if it exceeds --max-size."""
        consumer = self._large_consumer
        consumer.assign([TopicPartition(self._topic.name, batch.partition, batch.begin)])
        for message in poll_messages(consumer):
            (_, offset), error = position_of(message), message.error()
            if offset >= batch.end:  # compaction removed the batch's last message
                return
            if error is None:
                yield message
            elif error.code() == error_codes.BAD_COMPRESSION:
                raise KafkaRequestFailed(
                    f"{batch}: the batch cannot be decompressed within --max-size; nothing was skipped. "
                    f"Raise --max-size, up to {LARGEST_MAX_SIZE_BYTES} bytes; "
                    "if that fails too, try kafka-dump-log.sh on the broker"
                )
            else:
                raise translate(error)
            if offset == batch.end - 1:
                return


def _line(message: Message) -> bytes:
    """Encode a message as JSON; key, value and header values are base64 or null."""
    fields = record_of(message)._asdict()
    del fields["leader_epoch"]
    return encode(fields) + b"\n"
