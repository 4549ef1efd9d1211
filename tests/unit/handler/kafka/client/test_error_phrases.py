"""An error of a topic says what failed, why, and what to do."""

import pytest
from confluent_kafka import KafkaError

from service.handler.kafka.client.error_phrases import topic_problem


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
        (KafkaError._MSG_TIMED_OUT, "message timed out (_MSG_TIMED_OUT)"),
    ],
)
def test_the_problem_of_a_topic_has_the_code_and_the_remedy(code: int, why_and_remedy: str) -> None:
    error = KafkaError(code, "127.0.0.1:9092: a value of an order")
    assert topic_problem("produce to", "orders", error) == f"cannot produce to orders: {why_and_remedy}"
