"""An error of a topic says what failed, why, and what to do."""

import pytest
from confluent_kafka import KafkaError

from service.handler.kafka.client.error_phrases import remedy
from service.handler.kafka.client.translate import topic_error


@pytest.mark.parametrize(
    ("code", "why_and_remedy"),
    [
        (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            "unknown topic or partition (UNKNOWN_TOPIC_OR_PART); `orders migrate` creates topics",
        ),
        (KafkaError._UNKNOWN_TOPIC, "unknown topic (_UNKNOWN_TOPIC); `orders migrate` creates topics"),
        (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            "topic authorization failed (TOPIC_AUTHORIZATION_FAILED); add an ACL for the topic",
        ),
        (
            KafkaError.INVALID_RECORD,
            "broker failed to validate record (INVALID_RECORD); set cleanup.policy=delete: compaction requires keys",
        ),
        (KafkaError._TRANSPORT, "broker transport failure (_TRANSPORT)"),
    ],
)
def test_the_problem_of_a_topic_has_the_code_and_the_remedy(code: int, why_and_remedy: str) -> None:
    error = KafkaError(code, "127.0.0.1:9092: a value of an order")
    assert str(topic_error("produce to", "orders", error)) == f"cannot produce to orders: {why_and_remedy}"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (KafkaError.NOT_ENOUGH_REPLICAS, "min.insync.replicas"),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, "min.insync.replicas"),
        (KafkaError._MSG_TIMED_OUT, "min.insync.replicas"),  # librdkafka retries until then
        (KafkaError._TIMED_OUT, "producer_byte_rate"),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, "transaction.max.timeout.ms"),
        (KafkaError.OFFSET_METADATA_TOO_LARGE, "offset.metadata.max.bytes"),
        (KafkaError.INVALID_TIMESTAMP, "clocks"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "ACL for the group"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "ACL for transactional ids"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "IdempotentWrite"),
        (KafkaError.KAFKA_STORAGE_ERROR, "disk"),
        (KafkaError.POLICY_VIOLATION, "policy"),
        (KafkaError.ILLEGAL_GENERATION, "no action needed"),
        (KafkaError.STALE_MEMBER_EPOCH, "no action needed"),
        (KafkaError.PRODUCER_FENCED, "no action needed"),
    ],
)
def test_the_remedy_fits_the_code(code: int, word: str) -> None:
    assert word in (remedy(KafkaError(code)) or "")
