"""The librdkafka properties that users cannot set."""

from typing import Any, Final

_COMMITTED_BY_US: Final = "the consumer commits offsets itself, after it has stored the orders"
_IDEMPOTENT: Final = "dead letters need an idempotent producer and acks=all"
_FUNCTION: Final = "it takes a Python function"
RESERVED: Final = {
    "bootstrap.servers": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set ORDERS_KAFKA__BOOTSTRAP_SERVERS",
    "group.id": "set ORDERS_KAFKA__GROUP_ID",
    "group.protocol": "set ORDERS_KAFKA__GROUP_PROTOCOL",
    "group.protocol.type": "`consumer` is the only group type that the consumer supports",
    "partition.assignment.strategy": "the consumer supports incremental rebalancing only (cooperative-sticky)",
    "enable.auto.commit": _COMMITTED_BY_US,
    "auto.commit.enable": _COMMITTED_BY_US,
    "enable.auto.offset.store": _COMMITTED_BY_US,
    "auto.offset.reset": "the consumer counts and logs offsets that are out of range, and resets them itself",
    "enable.partition.eof": "the consumer needs end-of-partition events to measure its progress",
    "isolation.level": "the consumer must not store messages of aborted transactions",
    "enable.idempotence": _IDEMPOTENT,
    "acks": _IDEMPOTENT,
    "request.required.acks": _IDEMPOTENT,
    "message.timeout.ms": "the consumer retries a dead letter until it is acknowledged",
    "delivery.timeout.ms": "the consumer retries a dead letter until it is acknowledged",
    "message.max.bytes": "max.message.bytes of the dead-letter topic sets the limit",
    "transactional.id": "set ORDERS_DEAD_LETTERS__EXACTLY_ONCE",
    "transaction.timeout.ms": "an open transaction of a crashed consumer blocks the next owner of its partitions",
    "allow.auto.create.topics": "`orders migrate` creates the topics, with the right settings",
    "topic.blacklist": "the consumer would get no partitions of a topic in this list",
    "topic.metadata.refresh.interval.ms": "the consumer detects new partitions within 10 s",
    "statistics.interval.ms": "the consumer measures its lag with librdkafka's statistics",
    "test.mock.num.brokers": "it replaces the brokers with simulated ones",
    "default.topic.config": "set each property by its own name",
    "plugin.library.paths": "it loads code into the process",
    "internal.termination.signal": "librdkafka would handle this signal instead of the service",
    "ut_handle_ProduceResponse": "it is for librdkafka's own tests",
    "logger": _FUNCTION,
    "on_commit": _FUNCTION,
    "on_delivery": _FUNCTION,
}
"""librdkafka properties that users cannot set, and why. Names that end in `_cb` are rejected as functions."""


def require_scalars(properties: Any) -> Any:
    """Return the properties. Raises ValueError if they are not a JSON object of strings, numbers and booleans."""
    if not isinstance(properties, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic's interface
    for name, value in properties.items():
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"{name} must be a string, a number or a boolean")  # noqa: TRY004
    return properties


def reject_reserved(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties. Raises ValueError if one is reserved."""
    for name in properties:
        if reason := _FUNCTION if name.endswith("_cb") else RESERVED.get(name):
            raise ValueError(f"{name} cannot be set here: {reason}")
    return properties
