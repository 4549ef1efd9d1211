"""A command whose Kafka client got no answer reports why."""

from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from local import broker
from local.ports import free_port
from service.config import KafkaSettings
from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import diagnostics
from service.handler.kafka.client.connection_errors import ConnectionFailure
from service.handler.kafka.client.diagnostics import AdvertisedBroker, DiagnosticAdminClient, diagnosed

NO_ANSWER = KafkaUnavailable("Kafka: timed out (_TIMED_OUT)")
TIMED_OUT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
NO_BROKER = KafkaException(KafkaError(KafkaError._TRANSPORT))
METADATA = ClusterMetadata()


def test_the_cause_is_reported_if_no_broker_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "COMMAND_CONNECT_TIMEOUT_SECONDS", 0.0)
    port = free_port()
    with pytest.raises(KafkaRequestFailed) as raised, diagnosed(kafka_at(f"127.0.0.1:{port}"), "--bootstrap-servers"):
        raise NO_ANSWER
    assert str(raised.value).startswith(f"cannot reach Kafka at 127.0.0.1:{port}: connection refused (after ")
    assert str(raised.value).endswith(" Check --bootstrap-servers.")


def test_the_error_is_reported_if_kafka_answers_again_and_no_outer_block_connects_once_more() -> None:
    with (
        broker.mock(["orders"]) as server,
        pytest.raises(KafkaRequestFailed, match=r"^Kafka: timed out \(_TIMED_OUT\)$") as raised,
        diagnosed(kafka_at("127.0.0.1:1")),
        diagnosed(kafka_at(server.bootstrap_servers)),
    ):
        raise NO_ANSWER
    assert type(raised.value) is KafkaRequestFailed


def test_other_errors_explain_themselves() -> None:
    error = KafkaRequestFailed("Kafka: group authorization failed (GROUP_AUTHORIZATION_FAILED)")
    with pytest.raises(KafkaRequestFailed) as raised, diagnosed(kafka_at("127.0.0.1:1")):
        raise error
    assert raised.value is error


@pytest.mark.parametrize("error", [TIMED_OUT, NO_BROKER])
def test_a_metadata_request_that_is_not_answered_is_repeated(
    monkeypatch: pytest.MonkeyPatch, error: KafkaException
) -> None:
    answers: list[Any] = [error, METADATA]
    monkeypatch.setattr(AdminClient, "list_topics", Mock(side_effect=answers))
    assert DiagnosticAdminClient(kafka_at("127.0.0.1:1")).list_topics(timeout=5) is METADATA


def test_a_metadata_request_without_time_left_does_not_wait_forever() -> None:
    with pytest.raises(KafkaException):
        DiagnosticAdminClient(kafka_at("127.0.0.1:1")).list_topics(timeout=-1)


def test_the_advertised_address_is_reported_if_no_metadata_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = ConnectionFailure("host name does not resolve", "kafka.invalid:9092", broker=7)
    monkeypatch.setattr(AdminClient, "list_topics", Mock(side_effect=TIMED_OUT))
    monkeypatch.setattr(diagnostics, "explain", lambda _: failure)
    client = DiagnosticAdminClient(kafka_at("127.0.0.1:1"))
    assert client.check_advertised(0) == [AdvertisedBroker(7, "kafka.invalid:9092", "host name does not resolve")]


def kafka_at(bootstrap_servers: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=bootstrap_servers)
