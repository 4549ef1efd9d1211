"""Decodes messages into the next batch."""

from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import Message

from service.handler.kafka.client.record import record_of
from service.handler.kafka.consumer.add_record import Prepare, add_record
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.usecases.batch import Batch, BatchLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.entities.partition import Partition
    from service.metrics import ConsumerMetrics

MAX_DECODED_MESSAGES: Final = 200
"""Messages taken from the client in one call: few, so that the loop soon notices the end of a write."""
MAX_DECODED_BYTES: Final = 2**21
"""Bytes taken from the client in one call: few, so that large messages exceed the batch's limit only slightly."""


class BatchBuilder:
    """Holds the batch that is being filled."""

    def __init__(self, decoder: MessageDecoder, prepare: Prepare, metrics: "ConsumerMetrics") -> None:
        self._decoder = decoder
        self._prepare = prepare
        self._metrics = metrics
        self._decode_seconds = 0.0
        self._mean_message_bytes = 1
        self.batch = Batch()

    def capacity(self, limits: BatchLimits) -> int:
        """Return how many messages to take in one call, at least 1. Assumes that they are as large as the last ones."""
        bytes_left = min(MAX_DECODED_BYTES, limits.bytes - self.batch.bytes)
        messages_left = min(MAX_DECODED_MESSAGES, limits.messages - len(self.batch))
        return max(1, min(messages_left, bytes_left // self._mean_message_bytes))

    def add(self, messages: list[Message]) -> None:
        started, bytes_before = monotonic(), self.batch.bytes
        for message in messages:
            record = record_of(message)
            if record.headers is None:
                self._metrics.anomalies.unreadable_headers.inc()
            add_record(record, self.batch, self._decoder, self._prepare)
        self._decode_seconds += monotonic() - started
        if messages:
            self._mean_message_bytes = max(1, (self.batch.bytes - bytes_before) // len(messages))

    def take(self, probed_offsets: "Mapping[Partition, int]") -> Batch:
        """Count and return the batch, and start an empty one with these `probed_offsets`."""
        batch = self.batch
        self._metrics.ingest.consumed.inc(len(batch))
        self._metrics.batches.messages.observe(len(batch))
        self._metrics.batches.seconds.labels("decode").observe(self._decode_seconds)
        self.discard(probed_offsets)
        return batch

    def discard(self, probed_offsets: "Mapping[Partition, int]") -> None:
        """Start an empty batch. The caller reads the discarded messages again."""
        self.batch, self._decode_seconds = Batch(probed_offsets=probed_offsets), 0.0
