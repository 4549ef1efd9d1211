"""Errors that keep a member from joining its group, and fatal errors, after which its client is unusable."""

from typing import Final

from confluent_kafka import KafkaError

from service.handler.kafka.client import error_codes

_INSTANCE_ID: Final = "group.instance.id in ORDERS_KAFKA__PROPERTIES"
_EXPLANATIONS: Final = {
    KafkaError.FENCED_INSTANCE_ID: (
        f"another member has joined with the same {_INSTANCE_ID}: give each member its own"
    ),
    KafkaError.UNRELEASED_INSTANCE_ID: (
        f"the group still has a member with the same {_INSTANCE_ID}: give each member its own. "
        "After a crash, the broker removes that member when its session times out (group.consumer.session.timeout.ms)"
    ),
    KafkaError.UNSUPPORTED_ASSIGNOR: "the broker lacks the group.remote.assignor in ORDERS_KAFKA__PROPERTIES",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: (
        "the group ORDERS_KAFKA__GROUP_ID has members whose partition.assignment.strategy is not cooperative-sticky: "
        "stop them, or choose another group"
    ),
    KafkaError.GROUP_AUTHORIZATION_FAILED: "not authorized to read the group ORDERS_KAFKA__GROUP_ID: add an ACL",
    KafkaError.INVALID_SESSION_TIMEOUT: (
        "ORDERS_KAFKA__SESSION_TIMEOUT is not between group.min.session.timeout.ms and group.max.session.timeout.ms of "
        "the broker"
    ),
    KafkaError.GROUP_MAX_SIZE_REACHED: "the group is full: see group.max.size of the broker",
}


def is_fatal(error: KafkaError) -> bool:
    """Return whether the client is unusable from now on."""
    return bool(error.fatal() or error.code() == error_codes.FATAL)


def underlying_error(error: KafkaError) -> KafkaError:
    """Return the cause of a fatal error.

    If the client returned it instead of a message, its code is only _FATAL, and its text ends with the cause's text.
    """
    causes = (KafkaError(code) for code in _EXPLANATIONS)
    return next((each for each in causes if each.str() in error.str()), error)


def explanation(error: KafkaError) -> str | None:
    """Return what is wrong and what to do; None for an error that has no explanation here."""
    return _EXPLANATIONS.get(error.code())
