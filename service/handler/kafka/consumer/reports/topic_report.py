"""Logs problems with the topics at startup, not at the first dead letter."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from structlog.typing import FilteringBoundLogger
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from service.errors import KafkaRequestFailed, KafkaRequestRejected, Stopped
from service.handler.kafka.client import topics
from service.handler.kafka.client.client_log import log_missing_topic
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import KafkaSettings

_CHECK_INTERVAL_SECONDS: Final = 5.0


def report_topics(
    kafka: "KafkaSettings", client: DiagnosticAdminClient, log: FilteringBoundLogger, stop: ShutdownEvent
) -> None:
    """Wait until Kafka answers; then log missing topics, size limits that are too small, and unreachable brokers."""
    retrying = Retrying(
        retry=retry_if_exception_type(KafkaRequestFailed), wait=wait_fixed(_CHECK_INTERVAL_SECONDS), sleep=stop.sleep
    )
    with suppress(Stopped):
        retrying(_log_topic_problems, kafka, client, log)


def _log_topic_problems(kafka: "KafkaSettings", client: DiagnosticAdminClient, log: FilteringBoundLogger) -> None:
    """Log each problem once. Raises KafkaRequestFailed if the same requests may succeed later."""
    _log_unreachable_brokers(client, log)
    try:
        existing = topics.partition_counts(client)
        missing = {*kafka.subscription.names, kafka.dead_letter_topic}.difference(existing)
        problem = None if missing else topics.size_mismatch(kafka, existing, client)
    except KafkaRequestRejected as error:
        missing, problem = set(), str(error)
    for name in sorted(missing):
        log_missing_topic(log, name)
    if problem:
        log.warning("problem with the topics", problem=problem)


def _log_unreachable_brokers(client: DiagnosticAdminClient, log: FilteringBoundLogger) -> None:
    """Log the brokers with an unreachable advertised address: the partitions that they lead are not consumed."""
    try:
        brokers = client.check_advertised(topics.METADATA_TIMEOUT_SECONDS)
    except KafkaException:
        return  # the metadata request that follows reports the problem
    for broker in brokers:
        if broker.problem:
            log.error(
                "broker advertises an unreachable address",
                broker=broker.broker, address=broker.address, problem=broker.problem,
            )  # fmt: skip
