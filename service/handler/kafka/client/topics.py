"""Inspects topics without changing them."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from service.errors import KafkaRequestFailed, KafkaRequestRejected
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.translate import topic_error, translate, translated

if TYPE_CHECKING:
    from service.config import KafkaSettings

ADMIN_CALL_TIMEOUT_SECONDS: Final = 10
METADATA_TIMEOUT_SECONDS: Final = 5.0
"""Timeout of one metadata request; after it the problem is printed, and the request is retried."""
SIZE_LIMIT: Final = "max.message.bytes"
FOREVER: Final = math.inf
_PERMANENT_ERRORS: Final = {
    "CLUSTER_AUTHORIZATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "POLICY_VIOLATION",
    "INVALID_CONFIG",
    "INVALID_PARTITIONS",
    "INVALID_REQUEST",
}
"""Errors that retrying does not fix. Others may pass, such as too few brokers for the replication factor."""


def partition_counts(admin: DiagnosticAdminClient) -> dict[str, int]:
    """Return the number of partitions of each usable topic. Raises KafkaRequestFailed."""
    try:
        topics = admin.list_topics(timeout=METADATA_TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise request_error(error, admin) from error
    return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}


def size_mismatch(kafka: "KafkaSettings", existing: Collection[str], admin: DiagnosticAdminClient) -> str | None:
    """Return why a message that the group reads may be too large for the dead-letter topic; None if it always fits.

    `existing` are the names of all topics. Raises KafkaRequestFailed.
    """
    names = [*kafka.subscription.select(existing), kafka.dead_letter_topic]
    *limits, dead_letters = _size_limits(names, admin)
    larger = [f"the {limit} of {name}" for name, limit in zip(names, limits, strict=False) if limit > dead_letters]
    if not larger:
        return None
    return f"{SIZE_LIMIT} of {kafka.dead_letter_topic} is {dead_letters}, less than {' and '.join(larger)}"


@translated()
def unreplicated(names: Collection[str], admin: DiagnosticAdminClient) -> list[str]:
    """Return the named topics that have a partition with a single replica. Raises KafkaRequestFailed."""
    topics = admin.list_topics(timeout=ADMIN_CALL_TIMEOUT_SECONDS).topics
    return [
        name
        for name in names
        if name in topics and any(len(partition.replicas) == 1 for partition in topics[name].partitions.values())
    ]


@translated()
def lacks_in_sync_replicas(name: str, admin: DiagnosticAdminClient) -> str | None:
    """Return which partition has too few replicas in sync for a producer with `acks=all`; None if none has.

    Kafka does not need more replicas than a partition has. Raises KafkaRequestFailed.
    """
    least = int(_configs([name], admin)[name]["min.insync.replicas"].value)
    partitions = admin.list_topics(name, timeout=ADMIN_CALL_TIMEOUT_SECONDS).topics[name].partitions
    for number, partition in sorted(partitions.items()):
        needed = min(least, len(partition.replicas))
        if len(partition.isrs) < needed:
            return f"partition {number} of {name} has {len(partition.isrs)} replicas in sync, but needs {needed}"
    return None


@translated()
def broker_limits(names: Collection[str], admin: DiagnosticAdminClient) -> dict[str, int]:
    """Return the lowest value of each of these configs among the brokers. Raises KafkaRequestFailed.

    The user needs DescribeConfigs on the cluster.
    """
    brokers = admin.list_topics(timeout=ADMIN_CALL_TIMEOUT_SECONDS).brokers
    configs = _configs([str(broker) for broker in brokers], admin, ResourceType.BROKER)
    return {name: min(int(config[name].value) for config in configs.values()) for name in names}


@translated()
def max_record_ages(names: Collection[str], admin: DiagnosticAdminClient) -> dict[str, float]:
    """Return the maximum age of a record in each of these topics, in seconds. Raises KafkaRequestFailed.

    Kafka deletes whole segments, once their newest record exceeds the retention: the age is `retention.ms` plus
    `segment.ms`.
    """
    try:
        return {name: _max_record_age(config) for name, config in _configs(names, admin).items()}
    except KafkaException as error:
        if (problem := error.args[0]).code() < 0:  # of the client
            raise
        raise topic_error("read the retention of", " and ".join(names), problem) from error


@translated()
def is_compacted(name: str, admin: DiagnosticAdminClient) -> bool:
    """Return whether the topic is compacted, so that batches may have gaps. Raises KafkaRequestFailed."""
    return "compact" in _configs([name], admin)[name]["cleanup.policy"].value


def request_error(error: KafkaException, admin: DiagnosticAdminClient) -> KafkaRequestFailed:
    """Return KafkaRequestRejected if retrying does not help. The text gives the cause that the client has logged."""
    problem = error.args[0]
    if problem.name() in _PERMANENT_ERRORS:
        return KafkaRequestRejected(f"Kafka rejected the request: {phrase(problem)}")
    if failure := admin.last_failure():
        return KafkaRequestFailed(f"Kafka at {failure}")
    return translate(problem)


def _max_record_age(config: Mapping[str, Any]) -> float:
    retention, segment = int(config["retention.ms"].value), int(config["segment.ms"].value)
    deletes = "delete" in config["cleanup.policy"].value
    return (retention + segment) / 1_000 if deletes and retention >= 0 else FOREVER


def _configs(
    names: Collection[str], admin: DiagnosticAdminClient, kind: ResourceType = ResourceType.TOPIC
) -> dict[str, Mapping[str, Any]]:
    resources = [ConfigResource(kind, name) for name in names]
    requests = admin.describe_configs(resources, request_timeout=ADMIN_CALL_TIMEOUT_SECONDS)
    return {resource.name: request.result() for resource, request in requests.items()}


def _size_limits(names: list[str], admin: DiagnosticAdminClient) -> list[int]:
    try:
        configs = _configs(names, admin)
        return [int(configs[name][SIZE_LIMIT].value) for name in names]
    except KafkaException as error:
        raise request_error(error, admin) from error
