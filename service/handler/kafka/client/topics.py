"""Creates the topics that are missing and leaves those that are there alone."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from service.entities.errors import MigrationError
from service.handler.kafka.client.connection_errors import AdvertisedBroker, DiagnosticAdminClient
from service.handler.kafka.client.error_phrases import phrase
from service.pkg.polling import Echo, Poller, TryAgain

if TYPE_CHECKING:
    from concurrent.futures import Future

    from service.config import Kafka

CALL_TIMEOUT_SECONDS: Final = 10
_LOOK_SECONDS: Final = 5.0
"""How long a look at the topics may take: what keeps us away is told after it, and looking goes on."""
SIZE_LIMIT: Final = "max.message.bytes"
FOREVER: Final = math.inf
_FINAL: Final = {
    "CLUSTER_AUTHORIZATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "POLICY_VIOLATION",
    "INVALID_CONFIG",
    "INVALID_PARTITIONS",
    "INVALID_REQUEST",
}
"""What waiting doesn't mend; a broker that is away, or too few of them for the replicas, may come."""


def create_missing(kafka: "Kafka", admin: DiagnosticAdminClient, patience: Poller, echo: Echo) -> None:
    """Block until both topics are there, and say what was done. Running it again, or twice at once, changes nothing.

    Raises MigrationError where Kafka refuses, DeadlineExceeded.
    """
    for broker in patience.until(lambda: _advertised(admin), "Kafka"):
        echo(str(broker))
    created = patience.until(lambda: _create_missing(kafka, admin), "Kafka")
    partitions = patience.until(lambda: _partitions(kafka, admin), "Kafka")
    for name, count in partitions.items():
        echo(f"topic {name}: {'created' if name in created else 'was there'}, {count} partitions")
    if warning := patience.until(lambda: size_mismatch(kafka, admin), "Kafka"):
        echo(f"warning: {warning}")


def wait_for_broker(admin: DiagnosticAdminClient, patience: Poller) -> None:
    """Block until a broker answers. Raises DeadlineExceeded."""
    patience.until(lambda: partition_counts(admin), "Kafka")


def partition_counts(admin: DiagnosticAdminClient) -> dict[str, int]:
    """Return the number of partitions of each topic that can be used. Raises TryAgain where no broker answers."""
    try:
        topics = admin.list_topics(timeout=_LOOK_SECONDS).topics
    except KafkaException as error:
        raise translate(error, admin) from None
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def size_mismatch(kafka: "Kafka", admin: DiagnosticAdminClient) -> str | None:
    """Say why a message of the order topic may not fit into the dead-letter topic; None where it does."""
    orders, dead_letters = _size_limits([kafka.topic, kafka.dead_letter_topic], admin)
    if dead_letters >= orders:
        return None
    return f"{SIZE_LIMIT} of {kafka.dead_letter_topic} is {dead_letters}, less than the {orders} of {kafka.topic}"


def unreplicated(names: Collection[str], admin: DiagnosticAdminClient) -> list[str]:
    """Return which of these topics, if they are there, have partitions on one broker alone. Raises KafkaException."""
    there = admin.list_topics(timeout=CALL_TIMEOUT_SECONDS).topics
    return [
        name
        for name in names
        if name in there and any(len(partition.replicas) == 1 for partition in there[name].partitions.values())
    ]


def max_record_ages(names: Collection[str], admin: DiagnosticAdminClient) -> dict[str, float]:
    """Return for how many seconds a record may lie in each of these topics. Raises KafkaException.

    It goes with its segment, when the newest record of that has reached the retention: `segment.ms` comes on top.
    """
    return {name: _max_record_age(config) for name, config in _configs(names, admin).items()}


def is_compacted(name: str, admin: DiagnosticAdminClient) -> bool:
    """Tell whether records may be missing within a batch of the topic. Raises KafkaException."""
    return "compact" in _configs([name], admin)[name]["cleanup.policy"].value


def translate(error: KafkaException, admin: DiagnosticAdminClient) -> Exception:
    """Return TryAgain or MigrationError; both hold fixed phrases and addresses alone."""
    problem = error.args[0]
    if problem.name() in _FINAL:
        return MigrationError(f"Kafka refused: {phrase(problem)}")
    failure = admin.last_failure()
    return TryAgain(f"Kafka at {failure}" if failure else f"Kafka: {phrase(problem)}")


def _advertised(admin: DiagnosticAdminClient) -> list[AdvertisedBroker]:
    try:
        return admin.check_advertised(_LOOK_SECONDS)
    except KafkaException as error:
        raise translate(error, admin) from None


def _create_missing(kafka: "Kafka", admin: DiagnosticAdminClient) -> list[str]:
    there = partition_counts(admin)
    partitions = there.get(kafka.topic, kafka.partitions)
    missing = [
        topic for topic in (_order_topic(kafka), _dead_letter_topic(kafka, partitions)) if topic.topic not in there
    ]
    return [name for name, request in _requests(missing, admin).items() if _was_created(request, admin)]


def _requests(missing: list[NewTopic], admin: DiagnosticAdminClient) -> Mapping[str, "Future[None]"]:
    if not missing:
        return {}
    return admin.create_topics(
        missing, operation_timeout=CALL_TIMEOUT_SECONDS, request_timeout=2 * CALL_TIMEOUT_SECONDS
    )


def _was_created(request: "Future[None]", admin: DiagnosticAdminClient) -> bool:
    try:
        request.result()
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise translate(error, admin) from None
        return False
    return True


def _order_topic(kafka: "Kafka") -> NewTopic:
    config = {} if kafka.retention is None else {"retention.ms": _milliseconds(kafka.retention)}
    return NewTopic(kafka.topic, kafka.partitions, kafka.replication_factor, config=config)


def _dead_letter_topic(kafka: "Kafka", partitions: int) -> NewTopic:
    config = {
        "cleanup.policy": "delete",
        "retention.ms": _milliseconds(kafka.dead_letter_retention),
        SIZE_LIMIT: str(kafka.dead_letter_max_bytes),
    }
    return NewTopic(kafka.dead_letter_topic, partitions, kafka.replication_factor, config=config)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1_000))


def _partitions(kafka: "Kafka", admin: DiagnosticAdminClient) -> dict[str, int]:
    there = partition_counts(admin)
    for name in (kafka.topic, kafka.dead_letter_topic):
        if name not in there:
            raise TryAgain(f"topic {name} to appear")
    return {name: there[name] for name in (kafka.topic, kafka.dead_letter_topic)}


def _max_record_age(config: Mapping[str, Any]) -> float:
    retention, segment = int(config["retention.ms"].value), int(config["segment.ms"].value)
    deletes = "delete" in config["cleanup.policy"].value
    return (retention + segment) / 1_000 if deletes and retention >= 0 else FOREVER


def _configs(names: Collection[str], admin: DiagnosticAdminClient) -> dict[str, Mapping[str, Any]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    requests = admin.describe_configs(resources, request_timeout=CALL_TIMEOUT_SECONDS)
    return {resource.name: request.result() for resource, request in requests.items()}


def _size_limits(names: list[str], admin: DiagnosticAdminClient) -> list[int]:
    try:
        return [int(config[SIZE_LIMIT].value) for config in _configs(names, admin).values()]
    except KafkaException as error:
        raise translate(error, admin) from None
