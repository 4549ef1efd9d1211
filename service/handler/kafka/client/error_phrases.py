"""Texts of errors of Kafka, by code: an error's own message may contain addresses and values."""

from typing import Final

from confluent_kafka import KafkaError

from service.handler.kafka.client import error_codes

_CREATE_TOPICS: Final = "`orders migrate` creates topics"
_RESTORE_REPLICAS: Final = (
    "the topic has fewer replicas in sync than its min.insync.replicas: restart the missing brokers, or lower it"
)
_AWAIT_REBALANCE: Final = (
    "no action needed unless it repeats: the group rebalances, and the next owner repeats the batch"
)
_AWAIT_TRANSACTION: Final = "no action needed unless it repeats: the next attempt has a new producer or transaction"
_REMEDIES: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: _CREATE_TOPICS,
    error_codes.UNKNOWN_TOPIC: _CREATE_TOPICS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "add an ACL for the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "add an ACL for the group: Read",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
        "add an ACL for transactional ids that start with ORDERS_KAFKA__GROUP_ID: Write and Describe"
    ),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "add an ACL for the cluster: IdempotentWrite",
    KafkaError.INVALID_RECORD: "set cleanup.policy=delete: compaction requires keys",
    KafkaError.INVALID_TIMESTAMP: (
        "synchronize the clocks of this machine and the brokers: the topic's message.timestamp.before.max.ms or "
        "message.timestamp.after.max.ms is exceeded"
    ),
    KafkaError.NOT_ENOUGH_REPLICAS: _RESTORE_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: _RESTORE_REPLICAS,
    error_codes.MSG_TIMED_OUT: (
        "check that the brokers are reachable, and that the topic has min.insync.replicas replicas in sync: "
        "`orders doctor` names what fails"
    ),
    error_codes.TIMED_OUT: (
        "check that the brokers are reachable, and that no client quota (producer_byte_rate) throttles the user: "
        "`orders doctor` names what fails"
    ),
    KafkaError.INVALID_TRANSACTION_TIMEOUT: "raise the brokers' transaction.max.timeout.ms to at least 6000",
    KafkaError.OFFSET_METADATA_TOO_LARGE: "raise the brokers' offset.metadata.max.bytes to at least 64",
    KafkaError.KAFKA_STORAGE_ERROR: "check the disk of the partition's leader",
    KafkaError.POLICY_VIOLATION: "ask the brokers' operator which policy rejects the request",
    **dict.fromkeys(
        (
            KafkaError.ILLEGAL_GENERATION,
            KafkaError.UNKNOWN_MEMBER_ID,
            KafkaError.REBALANCE_IN_PROGRESS,
            KafkaError.STALE_MEMBER_EPOCH,
            KafkaError.FENCED_MEMBER_EPOCH,
        ),
        _AWAIT_REBALANCE,
    ),
    **dict.fromkeys(
        (
            KafkaError.INVALID_PRODUCER_EPOCH,
            KafkaError.INVALID_PRODUCER_ID_MAPPING,
            KafkaError.CONCURRENT_TRANSACTIONS,
            KafkaError.PRODUCER_FENCED,
        ),
        _AWAIT_TRANSACTION,
    ),
}


def phrase(error: KafkaError) -> str:
    """Return the fixed text of the error's code, and the code."""
    text = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
    return f"{text[:1].lower()}{text[1:]} ({error.name()})"


def error_fields(error: KafkaError) -> dict[str, str]:
    """Return the fields of a log event about the error."""
    return {"code": error.name(), "problem": phrase(error)}


def topic_problem(action: str, topic: str, error: KafkaError) -> str:
    """Return what failed, such as "cannot produce to orders", and why."""
    return f"cannot {action} {topic}: {phrase(error)}"


def remedy(error: KafkaError) -> str | None:
    """Return what to do, or None if the code does not tell."""
    return _REMEDIES.get(error.code())
