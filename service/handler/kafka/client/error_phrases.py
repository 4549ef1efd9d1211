"""Texts of errors of Kafka, by code: an error's own message may contain addresses and values."""

from typing import Final

from confluent_kafka import KafkaError

from service.handler.kafka.client import error_codes

_CREATE_TOPICS: Final = "`orders migrate` creates topics"
_REMEDIES: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: _CREATE_TOPICS,
    error_codes.UNKNOWN_TOPIC: _CREATE_TOPICS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "add an ACL for the topic",
    KafkaError.INVALID_RECORD: "set cleanup.policy=delete: compaction requires keys",
}


def phrase(error: KafkaError) -> str:
    """Return the fixed text of the error's code, and the code."""
    text = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
    return f"{text[:1].lower()}{text[1:]} ({error.name()})"


def error_fields(error: KafkaError) -> dict[str, str]:
    """Return the fields of a log event about the error."""
    return {"code": error.name(), "problem": phrase(error)}


def topic_problem(action: str, topic: str, error: KafkaError) -> str:
    """Return what failed, such as "cannot produce to orders", why, and what to do if that is known."""
    remedy = _REMEDIES.get(error.code())
    return f"cannot {action} {topic}: {phrase(error)}{f'; {remedy}' if remedy else ''}"
