"""A command whose Kafka client got no answer reports why."""

from types import SimpleNamespace
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
from service.handler.kafka.client.diagnostics import AdvertisedBroker, DiagnosticAdminClient, diagnosed, require_kafka

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


def test_the_metadata_of_one_topic_or_of_all_are_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Mock(return_value=METADATA)
    monkeypatch.setattr(AdminClient, "list_topics", request)
    client = DiagnosticAdminClient(kafka_at("127.0.0.1:1"))
    client.list_topics("orders")
    client.list_topics()
    assert [call.args for call in request.call_args_list] == [("orders",), ()]


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (None, "127.0.0.1:1: timed out (after 0 s). Check --bootstrap-servers."),
        (ConnectionFailure("wrong password", "a:1", check="sasl.password"), "a:1: wrong password (after 0 s). Check "),
    ],
)
def test_the_setting_to_check_depends_on_the_last_failure(
    monkeypatch: pytest.MonkeyPatch, failure: ConnectionFailure | None, problem: str
) -> None:
    for name in ("COMMAND_CONNECT_TIMEOUT_SECONDS", "_ATTEMPT_TIMEOUT_SECONDS"):
        monkeypatch.setattr(diagnostics, name, 0.0)
    monkeypatch.setattr(AdminClient, "list_topics", Mock(side_effect=TIMED_OUT))
    monkeypatch.setattr(DiagnosticAdminClient, "last_failure", lambda _: failure)
    with pytest.raises(KafkaRequestFailed) as raised:
        require_kafka(kafka_at("127.0.0.1:1"), setting="--bootstrap-servers")
    assert problem in str(raised.value)
    assert ("Check sasl.password." in str(raised.value)) == (failure is not None)


def advertising(*ports: int) -> Mock:
    """Return a request whose answer has brokers that advertise these ports."""
    brokers = {number: SimpleNamespace(id=number, host="127.0.0.1", port=port) for number, port in enumerate(ports)}
    return Mock(return_value=SimpleNamespace(brokers=brokers))


def test_a_broker_must_be_reachable_at_its_advertised_address(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = free_port()
    with broker.mock(["orders"]) as server:
        bootstrap = kafka_at(server.bootstrap_servers)
        monkeypatch.setattr(
            AdminClient, "list_topics", advertising(closed, int(server.bootstrap_servers.split(":")[1]))
        )
        require_kafka(bootstrap)
        monkeypatch.setattr(AdminClient, "list_topics", advertising(closed, closed))
        with pytest.raises(KafkaRequestFailed) as raised:
            require_kafka(bootstrap)
    unreachable = [f"broker {number} at 127.0.0.1:{closed} (connection refused)" for number in (0, 1)]
    assert str(raised.value) == (
        f"cannot reach any broker at its advertised address: {', '.join(unreachable)}. "
        "Check the brokers' advertised.listeners."
    )


def test_an_advertised_address_is_named_with_its_problem() -> None:
    assert str(AdvertisedBroker(1, "kafka:9092", None)) == "broker 1 at kafka:9092"
    assert str(AdvertisedBroker(1, "kafka:9092", "timed out")) == "broker 1 at kafka:9092 (timed out)"


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
