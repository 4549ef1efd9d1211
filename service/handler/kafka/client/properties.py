"""librdkafka configuration, lowest precedence first: our defaults, user overrides, what the guarantees require."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, Producer

from service.entities.subscription import INTERNAL_PREFIX
from service.errors import PropertyRejected
from service.handler.kafka.client import error_codes
from service.handler.kafka.client.login import login_properties
from service.handler.kafka.client.translate import translated

if TYPE_CHECKING:
    from service.config import KafkaSettings

Properties = dict[str, Any]

STATISTICS_INTERVAL_MS: Final = 5_000
_QUEUE_BACKOFF_MS: Final = 20
"""By default librdkafka waits 1 s before it refills a queue that was full; the consumer would run dry."""
_HEARTBEATS_PER_SESSION: Final = 3
_MAX_HEARTBEAT_INTERVAL_MS: Final = 3_000
"""A member notices a rebalance with a heartbeat, so a long session must not delay it. Equal to Kafka's default."""
_MAX_MESSAGE_BYTES: Final = 100_000_000
"""The topic's `max.message.bytes` should apply, so this is high; but a broker closes the connection on a request above
100 MiB (`socket.request.max.bytes`) without an error, and the client would retry it forever."""

TRANSACTION_TIMEOUT_MS: Final = 6_000
"""Equal to the session timeout: the open transaction of a crashed consumer blocks the next owner of its partitions."""

_PEEK_BYTES: Final = 64 * 2**10
"""How much of each partition a broker returns to a reader of one message."""

_QUOTED: Final = re.compile(r'[Pp]roperty:? "([^"]+)"')
_PROPERTY: Final = re.compile(r"\b[a-z]+(?:\.[a-z]+)+\b")

_CLASSIC_ONLY: Final = ("session.timeout.ms", "heartbeat.interval.ms")
"""librdkafka rejects each of these with `group.protocol=consumer`."""


def given(kafka: "KafkaSettings") -> Properties:
    """Return the user's properties, and those of the login. May block. Raises KafkaRequestFailed."""
    return {**kafka.properties, **login_properties(kafka)}


def common(kafka: "KafkaSettings") -> Properties:
    """Return the properties of every client that is created now; sufficient for an AdminClient.

    This function and those that use it may block. They raise KafkaRequestFailed if there is no password or token.
    """
    return _common(kafka, given(kafka))


def _common(kafka: "KafkaSettings", given_properties: Properties) -> Properties:
    return {
        "client.id": "orders",
        "reconnect.backoff.max.ms": 1_000,  # default 10 s, which prolongs every outage
        "socket.timeout.ms": 10_000,  # detects half-open connections; default 60 s
        **given_properties,
        "bootstrap.servers": kafka.bootstrap_servers,
        "allow.auto.create.topics": False,  # producers default to true, but our topics need their settings
    }


def consumer(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a group member that stores and commits offsets only explicitly."""
    return {
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": max(kafka.prefetch // 1024, 1),
        "fetch.queue.backoff.ms": _QUEUE_BACKOFF_MS,
        "fetch.wait.max.ms": 100,
        **_membership(kafka),
        "client.id": kafka.properties.get("client.id", f"orders-{gethostname()}"),  # the pod's name on Kubernetes
        "statistics.interval.ms": STATISTICS_INTERVAL_MS,
        "topic.metadata.refresh.interval.ms": 10_000,  # detects new partitions; default 5 minutes
        "group.id": kafka.group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # measures progress across transaction markers
    }


def member(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a member of the group: its client cannot see topics that the pattern excludes."""
    if not kafka.subscription.pattern:
        return consumer(kafka)
    dead_letter_topic = kafka.dead_letter_topic.replace(".", r"\.")
    return consumer(kafka) | {"topic.blacklist": f"^{dead_letter_topic}$,^{INTERNAL_PREFIX}"}


def subscribed_pattern(kafka: "KafkaSettings") -> str:
    """Return the pattern of the subscription for the client, or "". Brokers match it with whole names."""
    if not kafka.subscription.pattern:
        return ""
    return kafka.subscription.anchored_pattern + (".*" if kafka.group_protocol == "consumer" else "")


def silent_admin(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a silent AdminClient."""
    return without_logs(common(kafka))


def silent_consumer(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a silent consumer with the group's id, which never joins the group."""
    return without_logs(consumer(kafka)) | {"statistics.interval.ms": 0}


def without_logs(properties: Properties) -> Properties:
    """Silence the client's log: its errors are reported by the caller. The user's `log_level` takes precedence."""
    return {"log_level": 0} | properties


def dead_letter_reader(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a silent reader of the dead-letter topic that joins no group and prefetches little."""
    return {
        **without_logs(common(kafka)),
        "group.id": f"{kafka.group_id}.dlq-browse",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",  # by default, the client skips to the end if retention deletes what it reads
        "queued.max.messages.kbytes": 1_024,
        "fetch.queue.backoff.ms": _QUEUE_BACKOFF_MS,
    }


def order_peeker(kafka: "KafkaSettings") -> Properties:
    """Return the properties of a silent reader of single orders that joins no group."""
    return dead_letter_reader(kafka) | {"fetch.message.max.bytes": _PEEK_BYTES, "fetch.max.bytes": 2**20}


def producer(kafka: "KafkaSettings") -> Properties:
    """Return the properties of an idempotent producer with `acks=all`."""
    return _producer(kafka, given(kafka))


def _producer(kafka: "KafkaSettings", given_properties: Properties) -> Properties:
    return {
        "linger.ms": 5,
        **_common(kafka, given_properties),
        "enable.idempotence": True,
        "acks": "all",
        "message.max.bytes": _MAX_MESSAGE_BYTES,
    }


def transactional(kafka: "KafkaSettings", transactional_id: str) -> Properties:
    """Return the properties of a transactional producer."""
    return {
        **producer(kafka),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "socket.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "message.timeout.ms": TRANSACTION_TIMEOUT_MS - 1_000,
        "topic.metadata.propagation.max.ms": 1_000,
        "batch.num.messages": 1,  # so that MSG_SIZE_TOO_LARGE refers to one message
    }


def _membership(kafka: "KafkaSettings") -> Properties:
    if kafka.group_protocol == "consumer":
        supported = {name: value for name, value in common(kafka).items() if name not in _CLASSIC_ONLY}
        return supported | {"group.protocol": "consumer"}
    session = round(kafka.session_timeout * 1_000)
    return {
        "session.timeout.ms": session,
        "heartbeat.interval.ms": min(session // _HEARTBEATS_PER_SESSION, _MAX_HEARTBEAT_INTERVAL_MS),
        "partition.assignment.strategy": "cooperative-sticky",
        **common(kafka),
    }


def verify(kafka: "KafkaSettings") -> None:
    """Raise PropertyRejected if librdkafka rejects the properties. Does not block, and reads no password or token.

    Checks the properties of a producer, because it has more of them than the other clients.
    """
    placeholder = {"sasl.password": "-"} if kafka.password_file else {}
    with verified(kafka.properties):
        Producer(without_logs(_producer(kafka, {**kafka.properties, **placeholder})))


@contextmanager
def verified(set_by_user: Mapping[str, object]) -> Iterator[None]:
    """Raise PropertyRejected if librdkafka rejects the properties of a client that the block creates."""
    with translated():
        try:
            yield
        except KafkaException as error:
            problem = error.args[0]
            if problem.code() != error_codes.INVALID_ARG:
                raise
            raise PropertyRejected(_rejection(problem.str(), set_by_user)) from None


def _rejection(text: str, set_by_user: Mapping[str, object]) -> str:
    """Return which property librdkafka rejects, without its value."""
    quoted = _QUOTED.search(text)
    if text.startswith("No such configuration property") and quoted:
        return f"librdkafka has no property {quoted[1]}"
    return f"librdkafka rejects the value of {quoted[1] if quoted else _named_in(text, set_by_user)}"


def _named_in(text: str, set_by_user: Mapping[str, object]) -> str:
    """Return the property that the text names. It may also contain values, which can look like names."""
    words = text.replace("`", " ").split()
    names = [name for name in set_by_user if name in words]
    values = " ".join(map(str, set_by_user.values()))
    names += [name for name in _PROPERTY.findall(text) if name not in values]
    return names[0] if names else "a property"
