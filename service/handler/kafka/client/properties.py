"""What librdkafka is told: our tuning, over it what the user passes through, over both what a guarantee rests on."""

import re
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

if TYPE_CHECKING:
    from service.config import Kafka

Properties = dict[str, Any]

STATISTICS_INTERVAL_MS: Final = 5_000
_QUEUE_BACKOFF_MS: Final = 20
"""The default of 1 s is how long a full queue then stands empty."""
_HEARTBEATS_PER_SESSION: Final = 3
_MAX_MESSAGE_BYTES: Final = 100_000_000
"""The topic's limit shall decide, but a broker closes the connection on a request of more than 100 MiB
(`socket.request.max.bytes`) without a word, and would be sent it again for ever."""

_TRANSACTION_MS: Final = 6_000
"""As long as a session: while a dead member's transaction is open, the next owner of its partitions can't begin."""

_QUOTED: Final = re.compile(r'property:? "([^"]+)"')
_PROPERTY: Final = re.compile(r"\b([a-z]+(?:\.[a-z]+)+)\b")

_CLASSIC_ONLY: Final = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)
"""With `group.protocol=consumer` each of these makes the client refuse its configuration."""


def common(kafka: "Kafka") -> Properties:
    """Return what every client needs; alone it suits an AdminClient."""
    return {
        "client.id": "orders",
        "reconnect.backoff.max.ms": 1_000,  # the default of 10 s is added to every outage
        "socket.timeout.ms": 10_000,  # how long a half-open connection costs; 60 s by default, and twice over
        **kafka.properties,
        "bootstrap.servers": kafka.bootstrap_servers,
        "allow.auto.create.topics": False,  # a producer's default; such a topic has none of our settings
    }


def consumer(kafka: "Kafka") -> Properties:
    """Return what a member of the group needs; offsets are stored and committed by hand alone."""
    return {
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": max(kafka.prefetch // 1024, 1),
        "fetch.queue.backoff.ms": _QUEUE_BACKOFF_MS,
        "fetch.wait.max.ms": 100,
        "statistics.interval.ms": STATISTICS_INTERVAL_MS,
        "topic.metadata.refresh.interval.ms": 10_000,  # how long a new topic or partition goes unseen; else 5 minutes
        **_membership(kafka),
        "group.id": kafka.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # tells how far a partition was read that ends with markers of transactions
    }


def without_logs(properties: Properties) -> Properties:
    """Keep a client's log to itself: a command explains what fails in one line. The user's own `log_level` wins."""
    return {"log_level": 0} | properties


def dead_letter_browser(kafka: "Kafka") -> Properties:
    """Return what a reader of the dead-letter topic needs that joins no group and holds little ahead; it is quiet."""
    return {
        **common(kafka),
        "group.id": f"{kafka.group_id}.dlq-browse",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 1_024,
        "fetch.queue.backoff.ms": _QUEUE_BACKOFF_MS,
        "log_level": 0,
    }


def producer(kafka: "Kafka") -> Properties:
    """Return what a producer needs that acknowledges only what all replicas have, once and in order."""
    return {
        "linger.ms": 5,
        **common(kafka),
        "enable.idempotence": True,
        "acks": "all",
        "message.max.bytes": _MAX_MESSAGE_BYTES,
    }


def transactional(kafka: "Kafka", transactional_id: str) -> Properties:
    """Return what a producer needs whose messages are committed together with offsets, or not at all."""
    return {
        **producer(kafka),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": _TRANSACTION_MS,
        "socket.timeout.ms": _TRANSACTION_MS,
        "message.timeout.ms": _TRANSACTION_MS - 1_000,
        "topic.metadata.propagation.max.ms": 1_000,
        "batch.num.messages": 1,  # what the broker says of a batch's size is then said of one message
    }


def _membership(kafka: "Kafka") -> Properties:
    if kafka.group_protocol == "consumer":
        kept = {name: value for name, value in common(kafka).items() if name not in _CLASSIC_ONLY}
        return kept | {"group.protocol": "consumer"}
    session = round(kafka.session_timeout * 1_000)
    return {
        "session.timeout.ms": session,
        "heartbeat.interval.ms": session // _HEARTBEATS_PER_SESSION,
        "partition.assignment.strategy": "cooperative-sticky",
        **common(kafka),
    }


def verify(kafka: "Kafka") -> None:
    """Raise KafkaException where librdkafka refuses the properties; a producer asks for most of them. Nothing waits."""
    Producer(without_logs(producer(kafka)))


def invalid_property(error: KafkaException) -> str | None:
    """Say which property librdkafka refuses, without its value; None where the error is of another kind."""
    problem = error.args[0]
    if problem.code() != KafkaError._INVALID_ARG:  # noqa: SLF001 - librdkafka's name
        return None
    text = problem.str()
    match = _QUOTED.search(text) or _PROPERTY.search(text)
    if text.startswith("No such configuration property") and match:
        return f"librdkafka knows no property {match[1]}"
    return f"librdkafka refuses {match[1] if match else 'a property'}"
