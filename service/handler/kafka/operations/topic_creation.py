"""Creates missing topics for `orders migrate`, and leaves existing ones unchanged."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.cimpl import NewTopic

from service.errors import CommandFailed, KafkaRequestFailed, KafkaRequestRejected, TryAgain
from service.handler.kafka.client import topics
from service.handler.kafka.client.diagnostics import AdvertisedBroker, DiagnosticAdminClient
from service.pkg.output import Echo

if TYPE_CHECKING:
    from concurrent.futures import Future

    from service.config import KafkaSettings
    from service.pkg.polling import Poller

T = TypeVar("T")


def wait_for_broker(admin: DiagnosticAdminClient, poller: "Poller") -> None:
    """Block until a broker answers. Raises CommandFailed, Stopped."""
    _until(poller, lambda: topics.partition_counts(admin))


def create_missing(kafka: "KafkaSettings", admin: DiagnosticAdminClient, poller: "Poller", echo: Echo) -> None:
    """Block until all named topics exist, and print what was done. Idempotent, also when run concurrently.

    Topics that match a pattern are not created.

    Raises CommandFailed if Kafka rejects the request, or at the deadline, and Stopped.
    """
    for broker in _until(poller, lambda: _advertised(admin)):
        echo(str(broker))
    created = _until(poller, lambda: _create_missing(kafka, admin))
    partitions = _until(poller, lambda: _partitions(kafka, admin))
    for name, count in partitions.items():
        echo(f"topic {name}: {'created' if name in created else 'exists'}, {count} partitions")
    if warning := _until(poller, lambda: topics.size_mismatch(kafka, partitions, admin)):
        echo(f"warning: {warning}")


def _until(poller: "Poller", attempt: Callable[[], T]) -> T:
    return poller.until(partial(_retryable, attempt), "Kafka")


def _retryable(attempt: Callable[[], T]) -> T:
    """Raise CommandFailed if Kafka would reject the request again, and TryAgain if it may succeed later."""
    try:
        return attempt()
    except KafkaRequestRejected as error:
        raise CommandFailed(str(error)) from error
    except KafkaRequestFailed as error:
        raise TryAgain(str(error)) from error


def _advertised(admin: DiagnosticAdminClient) -> list[AdvertisedBroker]:
    try:
        return admin.check_advertised(topics.METADATA_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise topics.request_error(error, admin) from error


def _create_missing(kafka: "KafkaSettings", admin: DiagnosticAdminClient) -> list[str]:
    existing = topics.partition_counts(admin)
    partitions = max((existing[topic] for topic in kafka.subscription.select(existing)), default=kafka.partitions)
    missing = [_order_topic(kafka, name) for name in kafka.subscription.missing(existing)]
    if kafka.dead_letter_topic not in existing:
        missing.append(_dead_letter_topic(kafka, partitions))
    return [name for name, request in _requests(missing, admin).items() if _was_created(request, admin)]


def _requests(missing: list[NewTopic], admin: DiagnosticAdminClient) -> Mapping[str, "Future[None]"]:
    if not missing:
        return {}
    return admin.create_topics(
        missing,
        operation_timeout=topics.ADMIN_CALL_TIMEOUT_SECONDS,
        request_timeout=2 * topics.ADMIN_CALL_TIMEOUT_SECONDS,
    )


def _was_created(request: "Future[None]", admin: DiagnosticAdminClient) -> bool:
    try:
        request.result()
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise topics.request_error(error, admin) from error
        return False
    return True


def _order_topic(kafka: "KafkaSettings", name: str) -> NewTopic:
    config = {} if kafka.retention is None else {"retention.ms": _milliseconds(kafka.retention)}
    return NewTopic(name, kafka.partitions, kafka.replication_factor, config=config)


def _dead_letter_topic(kafka: "KafkaSettings", partitions: int) -> NewTopic:
    config = {
        "cleanup.policy": "delete",
        "retention.ms": _milliseconds(kafka.dead_letter_retention),
        topics.SIZE_LIMIT: str(kafka.dead_letter_max_bytes),
    }
    return NewTopic(kafka.dead_letter_topic, partitions, kafka.replication_factor, config=config)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1_000))


def _partitions(kafka: "KafkaSettings", admin: DiagnosticAdminClient) -> dict[str, int]:
    existing = topics.partition_counts(admin)
    for name in (*kafka.subscription.names, kafka.dead_letter_topic):
        if name not in existing:
            raise TryAgain(f"topic {name} to appear")
    return {name: existing[name] for name in (*kafka.subscription.select(existing), kafka.dead_letter_topic)}
