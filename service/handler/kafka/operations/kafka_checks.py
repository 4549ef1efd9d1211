"""Checks of Kafka for `orders doctor`.

Each blocks for a few calls at most, and returns a description. Raises CheckFailed or KafkaRequestFailed.
"""

from contextlib import closing
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException

from service.errors import CheckFailed, KafkaRequestFailed, KafkaUnavailable, PropertyRejected
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.error_phrases import phrase
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.client.group_members import GroupMembers
from service.handler.kafka.client.group_state import fetch_group_state
from service.handler.kafka.client.translate import translated
from service.pkg.network import resolution_problem

if TYPE_CHECKING:
    from service.config import KafkaSettings

CHECK_CALL_TIMEOUT_SECONDS: Final = 5.0
MIN_BROKER_LIMITS: Final = {"offset.metadata.max.bytes": 64}
"""Each commit contains the id of its topic."""
MIN_TRANSACTION_LIMITS: Final = {"transaction.max.timeout.ms": properties.TRANSACTION_TIMEOUT_MS}


def host_names(kafka: "KafkaSettings") -> str:
    hosts = [address.rpartition(":")[0] for address in kafka.bootstrap_servers.split(",")]
    if problem := resolution_problem(hosts):
        raise CheckFailed(problem)
    return ", ".join(hosts)


def brokers(kafka: "KafkaSettings") -> str:
    """Get an answer of a bootstrap server. Whether brokers are reachable is the next check's question."""
    admin = _admin(kafka)
    try:
        count = len(admin.list_topics(timeout=CHECK_CALL_TIMEOUT_SECONDS).brokers)
    except KafkaException as error:
        if (failure := admin.last_failure()) and failure.broker is not None:
            return f"bootstrap servers answer, {_protocol(kafka)}"
        raise CheckFailed(str(failure or f"{kafka.bootstrap_servers}: {phrase(error.args[0])}")) from None
    return f"{count} brokers, {_protocol(kafka)}"


@translated()
def advertised_addresses(kafka: "KafkaSettings") -> str:
    """List the advertised addresses, where clients connect after bootstrapping."""
    advertised = _admin(kafka).check_advertised(CHECK_CALL_TIMEOUT_SECONDS)
    addresses = ", ".join(map(str, advertised))
    if any(broker.problem for broker in advertised):
        raise CheckFailed(addresses)
    return addresses


def topic(kafka: "KafkaSettings", name: str) -> str:
    partition_counts = topics.partition_counts(_admin(kafka))
    if name not in partition_counts:
        raise CheckFailed("unknown topic")
    return f"{partition_counts[name]} partitions"


def matching_topics(kafka: "KafkaSettings") -> str:
    partition_counts = topics.partition_counts(_admin(kafka))
    found = kafka.subscription.select(partition_counts)
    if not found:
        raise CheckFailed("none")
    return ", ".join(f"{name} ({partition_counts[name]} partitions)" for name in found)


def size_limit(kafka: "KafkaSettings") -> str:
    admin = _admin(kafka)
    if problem := topics.size_mismatch(kafka, topics.partition_counts(admin), admin):
        raise CheckFailed(problem)
    return f"{topics.SIZE_LIMIT} of {kafka.dead_letter_topic} is at least that of {kafka.subscription}"


def in_sync_replicas(kafka: "KafkaSettings") -> str:
    if problem := topics.lacks_in_sync_replicas(kafka.dead_letter_topic, _admin(kafka)):
        raise CheckFailed(problem)
    return f"{kafka.dead_letter_topic} has enough"


def broker_limits(kafka: "KafkaSettings", *, with_transactions: bool) -> str:
    """Check limits that only the brokers' operator can raise, if the user may read them."""
    wanted = MIN_BROKER_LIMITS | (MIN_TRANSACTION_LIMITS if with_transactions else {})
    admin = _admin(kafka)
    try:
        limits = topics.broker_limits(wanted, admin)
    except KafkaUnavailable:
        raise
    except KafkaRequestFailed as error:
        return f"unknown: {error}"
    if low := [
        f"{name} is {limits[name]}, less than {least}" for name, least in wanted.items() if limits[name] < least
    ]:
        raise CheckFailed(", ".join(low))
    return ", ".join(f"{name} is {limit}" for name, limit in limits.items())


def replicas(kafka: "KafkaSettings") -> str:
    names = (kafka.dead_letter_topic, "__consumer_offsets", "__transaction_state")
    if unreplicated := topics.unreplicated(names, _admin(kafka)):
        raise CheckFailed(f"only one replica of {', '.join(unreplicated)}")
    return "at least two replicas of each topic that transactions use"


@translated()
def group(kafka: "KafkaSettings") -> str:
    admin = _admin(kafka)
    state = fetch_group_state(admin, kafka.group_id, CHECK_CALL_TIMEOUT_SECONDS).name.lower()
    members = GroupMembers(lambda: admin, group_id=kafka.group_id, subscription=kafka.subscription).read_if_available()
    with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
        group_lag = GroupLag(
            lambda: admin,
            lambda: consumer,
            subscription=kafka.subscription,
            dead_letter_topic=kafka.dead_letter_topic,
            call_timeout=CHECK_CALL_TIMEOUT_SECONDS,
        )
        lag, blocked = group_lag.read().lag, group_lag.open_transaction_messages()
    summary = f"{state}, {'unknown' if members is None else len(members)} members, lag {lag:,}"
    return f"{summary}, {blocked:,} messages behind an open transaction" if blocked else summary


def _admin(kafka: "KafkaSettings") -> DiagnosticAdminClient:
    try:
        return DiagnosticAdminClient(kafka)
    except PropertyRejected as error:
        raise CheckFailed(error.problem) from error


def _protocol(kafka: "KafkaSettings") -> str:
    return str(kafka.properties.get("security.protocol", "plaintext")).upper()
