"""Logs the errors that the client reports, with a remedy, and records fatal ones."""

from collections.abc import Callable
from time import monotonic

from confluent_kafka import KafkaError, Message
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client import error_codes
from service.handler.kafka.client.client_log import log_missing_topic
from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.client.member_errors import explanation, is_fatal
from service.handler.kafka.client.record import position_of
from service.handler.kafka.consumer.reports.client_failure import ClientFailure
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle


class ClientErrors:
    def __init__(
        self,
        failure: ClientFailure,
        log: FilteringBoundLogger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._failure = failure
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS, now)

    def on_error(self, error: KafkaError) -> None:
        """Handle an error that concerns the whole client."""
        if is_fatal(error):
            self._failure.record(error)
        else:
            self._warn(error)

    def on_message_error(self, message: Message, error: KafkaError) -> None:
        """Handle an error that the client returned instead of a message."""
        topic = position_of(message)[0].topic
        if is_fatal(error):
            self._failure.record(error)
        elif error.code() == error_codes.BAD_COMPRESSION:
            self._on_bad_compression(message)
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            if self._throttle.is_due(f"{error.name()} {topic}"):
                log_missing_topic(self._log, topic)
        elif problem := explanation(error):
            if self._throttle.is_due(error.name()):
                self._log.error("the group refuses this member", code=error.name(), problem=problem)
        else:
            self._warn(error, topic)

    def _warn(self, error: KafkaError, topic: str | None = None) -> None:
        if self._throttle.is_due(f"{error.name()} {topic}"):
            self._log.warning("Kafka reports a problem", topic=topic, **error_fields(error))

    def _on_bad_compression(self, message: Message) -> None:
        # The client retries twice a second, and never skips the batch.
        partition, offset = position_of(message)
        if self._throttle.is_due(str(partition)):
            self._log.error(
                "a batch of messages cannot be decompressed: its partition is stalled",
                topic=partition.topic,
                partition=partition.number,
                offset=offset,
                hint="raise receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES and the memory limit; or "
                "stop the consumers and save the batch with "
                f"`orders skip-batch {partition.number} {offset} --topic {partition.topic} --to FILE`",
            )
