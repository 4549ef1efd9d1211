"""What keeps a member out of its group, in words that name the setting; after some of it a client does nothing more."""

from typing import Final

from confluent_kafka import KafkaError

_INSTANCE_ID: Final = "group.instance.id in ORDERS_KAFKA__PROPERTIES"
_EXPLANATIONS: Final = {
    KafkaError.FENCED_INSTANCE_ID: (
        f"another member has joined with the same {_INSTANCE_ID}: give each member its own"
    ),
    KafkaError.UNRELEASED_INSTANCE_ID: (
        f"the group still has a member with the same {_INSTANCE_ID}: give each member its own. "
        "After a crash it is released when the session ends (group.consumer.session.timeout.ms of the broker)"
    ),
    KafkaError.UNSUPPORTED_ASSIGNOR: "the broker does not have the group.remote.assignor in ORDERS_KAFKA__PROPERTIES",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: (
        "the group ORDERS_KAFKA__GROUP_ID has members whose partition.assignment.strategy is not cooperative-sticky: "
        "stop them, or choose another group"
    ),
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the group ORDERS_KAFKA__GROUP_ID may not be read: an ACL is missing",
    KafkaError.GROUP_MAX_SIZE_REACHED: "the group has as many members as group.max.size of the broker allows",
}


def is_fatal(error: KafkaError) -> bool:
    """Tell whether the client does nothing more."""
    return bool(error.fatal() or error.code() == KafkaError._FATAL)  # noqa: SLF001 - librdkafka's name


def underlying_error(error: KafkaError) -> KafkaError:
    """Return what a fatal error is about: as a message's error it has only a text that ends with that of its cause."""
    causes = (KafkaError(code) for code in _EXPLANATIONS)
    return next((each for each in causes if each.str() in error.str()), error)


def explanation(error: KafkaError) -> str | None:
    """Return why a member is refused and what to do; None where the code alone has to do."""
    return _EXPLANATIONS.get(error.code())
