"""Errors of the Kafka client become errors of the tree, which keep the code but no text of the client."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client.translate import topic_error, translated


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (KafkaError._TIMED_OUT, KafkaUnavailable, "Kafka: timed out (_TIMED_OUT)"),
        (
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            KafkaRequestFailed,
            "Kafka: group authorization failed (GROUP_AUTHORIZATION_FAILED)",
        ),
    ],
    ids=["of the client", "of a broker"],
)
def test_errors_of_the_client_itself_have_a_kind_of_their_own(
    code: int, kind: type[KafkaRequestFailed], text: str
) -> None:
    cause = KafkaException(KafkaError(code, "127.0.0.1:9092: a value of an order"))
    with pytest.raises(KafkaRequestFailed) as raised, translated():
        raise cause
    assert (type(raised.value), str(raised.value)) == (kind, text)
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "unknown topic"),
        (KafkaError._UNKNOWN_TOPIC, "unknown topic"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "authorization failed"),
    ],
)
def test_an_error_of_a_topic_names_the_action_and_the_topic(code: int, problem: str) -> None:
    error = str(topic_error("read", "orders", KafkaError(code)))
    assert error.startswith("cannot read orders: ")
    assert problem in error.lower()
