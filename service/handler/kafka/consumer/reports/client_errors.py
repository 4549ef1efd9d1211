"""Logs the errors that the client reports, with what to do, and remembers a fatal one."""

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message
from structlog.typing import FilteringBoundLogger

from service.errors import KafkaClientFailed
from service.handler.kafka.client import error_codes
from service.handler.kafka.client.client_log import LOG_INTERVAL_SECONDS
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.fatal_errors import explanation, is_fatal, underlying_error
from service.pkg.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.handler.kafka.consumer.partitions.statistics import PartitionEnd


class ClientErrors:
    """Belongs to the reading thread."""

    def __init__(self, topic: str, log: FilteringBoundLogger) -> None:
        self._topic = topic
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)
        self._fatal: KafkaError | None = None
        self._open_transactions: dict[int, int] = {}
        self._without_offset: frozenset[int] = frozenset()

    def raise_fatal(self) -> None:
        """Raise KafkaException if the client has reported a fatal error."""
        if self._fatal is not None:
            raise KafkaException(self._fatal)

    def log_failure(self, error: KafkaError) -> KafkaClientFailed:
        """Log why the client failed; return the error with which the process ends."""
        error = underlying_error(error)
        code, problem = error.name(), explanation(error) or phrase(error)
        self._log.error("the Kafka client has failed: the process exits", code=code, problem=problem)
        return KafkaClientFailed(f"the Kafka client has failed ({code}): {problem}")

    def on_error(self, error: KafkaError) -> None:
        """Handle an error that concerns the whole client."""
        if is_fatal(error):
            self._fatal = error
        elif self._throttle.is_due(error.name()):
            self._log.warning("Kafka reports a problem", code=error.name(), problem=phrase(error))

    def on_message_error(self, message: Message, error: KafkaError) -> None:
        """Handle an error that the client returned instead of a message."""
        if is_fatal(error):
            self._fatal = self._fatal or error
        elif error.code() == error_codes.BAD_COMPRESSION:
            self._on_bad_compression(message)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._log.error("the topic does not exist: run `orders migrate`", topic=self._topic)
        elif problem := explanation(error):
            if self._throttle.is_due(error.name()):
                self._log.error("the group refuses this member", code=error.name(), problem=problem)
        else:
            self._log.warning("Kafka reports a problem", code=error.name(), problem=phrase(error), topic=self._topic)

    def on_statistics(
        self, ends: "dict[int, PartitionEnd]", assigned: frozenset[int], fetched: "Collection[int]"
    ) -> None:
        """Log partitions that are stalled without an error: behind a transaction, or without an offset."""
        self._warn_of_transactions({p: end for p, end in ends.items() if end.locked and p in assigned})
        self._warn_of_missing_offsets(assigned.difference(fetched))

    def _on_bad_compression(self, message: Message) -> None:
        # The client retries twice a second, and never skips the batch.
        if self._throttle.is_due("a batch that cannot be decompressed"):
            partition, offset = message.partition(), message.offset()
            self._log.error(
                "a batch of messages cannot be decompressed: its partition is stalled",
                partition=partition,
                offset=offset,
                hint="set a larger receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES, with memory for it; or "
                f"stop the consumers and save the batch with `orders skip-batch {partition} {offset} --to FILE`",
            )

    def _warn_of_transactions(self, ends: "dict[int, PartitionEnd]") -> None:
        """Log transactions that were already open at the previous statistics."""
        open_transactions = {partition: end.stable for partition, end in ends.items()}
        lasting = {p for p, offset in open_transactions.items() if self._open_transactions.get(p) == offset}
        self._open_transactions = open_transactions
        if lasting and self._throttle.is_due("open transactions"):
            self._log.warning(
                "a producer's open transaction blocks the messages behind it",
                partitions=sorted(lasting), messages=sum(ends[p].locked for p in lasting),
            )  # fmt: skip

    def _warn_of_missing_offsets(self, partitions: frozenset[int]) -> None:
        """Log partitions that already had no offset at the previous statistics. The client retries silently."""
        if lasting := self._without_offset & partitions:
            self._log.warning(
                "Kafka does not return the group's offsets: it is unreachable, or a transaction holds them",
                partitions=sorted(lasting),
            )
        self._without_offset = partitions
