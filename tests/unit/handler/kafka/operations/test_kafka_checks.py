"""The checks of Kafka raise errors that `orders doctor` can print."""

from collections.abc import Callable

import pytest

from local.ports import free_port
from service.config import KafkaSettings
from service.errors import CheckFailed, KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import topics
from service.handler.kafka.client.connection_errors import ConnectionFailure
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.operations import kafka_checks


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setattr(kafka_checks, "CHECK_CALL_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(topics, "ADMIN_CALL_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(topics, "METADATA_TIMEOUT_SECONDS", 1.0)
    return KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "check", [kafka_checks.brokers, kafka_checks.advertised_addresses, kafka_checks.replicas, kafka_checks.group]
)
def test_a_property_that_librdkafka_rejects_is_named(check: Callable[[KafkaSettings], str]) -> None:
    with pytest.raises(CheckFailed) as raised:
        check(KafkaSettings(properties={"no.such.property": "hunter2"}))
    assert str(raised.value) == "librdkafka has no property no.such.property"


@pytest.mark.parametrize("check", [kafka_checks.advertised_addresses, kafka_checks.replicas])
def test_a_broker_that_does_not_answer_is_reported(
    unreachable: KafkaSettings, check: Callable[[KafkaSettings], str]
) -> None:
    with pytest.raises(KafkaUnavailable, match=r"^Kafka: .+ \((_TRANSPORT|_TIMED_OUT)\)$"):
        check(unreachable)


def test_the_address_of_an_unreachable_broker_is_reported(unreachable: KafkaSettings) -> None:
    with pytest.raises(CheckFailed, match=f"^{unreachable.bootstrap_servers}: "):
        kafka_checks.brokers(unreachable)


def test_the_bootstrap_servers_answer_even_if_the_broker_that_they_name_is_unreachable(
    unreachable: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = ConnectionFailure("host name does not resolve", "kafka.invalid:9092", broker=7)
    monkeypatch.setattr(DiagnosticAdminClient, "last_failure", lambda _: failure)
    assert kafka_checks.brokers(unreachable) == "bootstrap servers answer, PLAINTEXT"


def test_the_cause_is_reported_if_the_partitions_of_a_topic_cannot_be_queried(unreachable: KafkaSettings) -> None:
    with pytest.raises(KafkaRequestFailed, match=f"^Kafka at {unreachable.bootstrap_servers}: connection refused$"):
        kafka_checks.topic(unreachable, unreachable.topic)
