"""Errors of the client: a fatal one is recorded, the others are logged with what to do."""

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from service.handler.kafka.consumer.reports.client_failure import ClientFailure
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS
from tests.kit.fake_consumer import TOPIC, message
from tests.kit.fakes import FakeClock

FENCED = KafkaError(KafkaError.FENCED_INSTANCE_ID, "Static consumer fenced by other consumer", True)  # noqa: FBT003 - fatal
BROKER_DOWN = KafkaError(KafkaError._TRANSPORT)


@pytest.fixture
def failure() -> ClientFailure:
    return ClientFailure(structlog.get_logger())


@pytest.fixture
def errors(failure: ClientFailure, clock: FakeClock) -> ClientErrors:
    return ClientErrors(failure, structlog.get_logger(), clock)


def on_message_error(errors: ClientErrors, error: KafkaError, partition: int = 0, offset: int = 0) -> list[EventDict]:
    with capture_logs() as logs:
        errors.on_message_error(message(partition, offset), error)
    return [*logs]


def test_a_fatal_error_of_the_client_is_recorded(errors: ClientErrors, failure: ClientFailure) -> None:
    errors.on_error(FENCED)
    with pytest.raises(KafkaException, match="FENCED_INSTANCE_ID"):
        failure.raise_recorded()


def test_a_fatal_error_in_place_of_a_message_is_recorded(errors: ClientErrors, failure: ClientFailure) -> None:
    assert on_message_error(errors, KafkaError(KafkaError._FATAL)) == []
    with pytest.raises(KafkaException, match="_FATAL"):
        failure.raise_recorded()


def test_other_errors_of_the_client_are_logged_once_in_a_while(
    errors: ClientErrors, failure: ClientFailure, clock: FakeClock
) -> None:
    with capture_logs() as logs:
        errors.on_error(BROKER_DOWN)
        errors.on_error(BROKER_DOWN)
        errors.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        clock.advance(LOG_INTERVAL_SECONDS)
        errors.on_error(BROKER_DOWN)
    assert [each["code"] for each in logs] == ["_TRANSPORT", "_ALL_BROKERS_DOWN", "_TRANSPORT"]
    assert logs[0] == {
        "event": "Kafka reports a problem",
        "log_level": "warning",
        "topic": None,
        "code": "_TRANSPORT",
        "problem": "broker transport failure (_TRANSPORT)",
    }
    failure.raise_recorded()


def test_a_batch_that_cannot_be_decompressed_is_logged_with_the_commands_that_help(
    errors: ClientErrors, clock: FakeClock
) -> None:
    error = KafkaError(KafkaError._BAD_COMPRESSION)
    (logged,) = on_message_error(errors, error, partition=2, offset=7)
    assert logged == {
        "event": "a batch of messages cannot be decompressed: its partition is stalled",
        "log_level": "error",
        "topic": TOPIC,
        "partition": 2,
        "offset": 7,
        "hint": "raise receive.message.max.bytes in ORDERS_KAFKA__PROPERTIES and the memory limit; or stop the "
        "consumers and save the batch with `orders skip-batch 2 7 --topic orders --to FILE`",
    }
    assert on_message_error(errors, error, partition=2, offset=7) == []
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_message_error(errors, error, partition=2, offset=7)) == 1


def test_each_partition_with_a_batch_that_cannot_be_decompressed_is_logged(errors: ClientErrors) -> None:
    error = KafkaError(KafkaError._BAD_COMPRESSION)
    logs = [each for partition in (2, 3, 2) for each in on_message_error(errors, error, partition)]
    assert [each["partition"] for each in logs] == [2, 3]


def test_a_missing_topic_is_logged_with_the_command_that_creates_it(errors: ClientErrors) -> None:
    (logged,) = on_message_error(errors, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert (logged["event"], logged["topic"]) == ("the topic does not exist: run `orders migrate`", TOPIC)


def test_each_missing_topic_is_logged(errors: ClientErrors) -> None:
    error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    with capture_logs() as logs:
        for topic in (TOPIC, "other", TOPIC):
            errors.on_message_error(Message(topic, 0, 0, error=error), error)
    assert [each["topic"] for each in logs] == [TOPIC, "other"]


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._TRANSPORT])
def test_an_error_that_is_repeated_for_each_partition_is_logged_once_in_a_while(
    errors: ClientErrors, clock: FakeClock, code: int
) -> None:
    assert len([each for partition in range(50) for each in on_message_error(errors, KafkaError(code), partition)]) == 1
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_message_error(errors, KafkaError(code))) == 1


def test_the_reason_why_the_group_refuses_the_member_is_logged_repeatedly_but_throttled(
    errors: ClientErrors, clock: FakeClock
) -> None:
    error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    (logged,) = on_message_error(errors, error)
    assert logged == {
        "event": "the group refuses this member",
        "log_level": "error",
        "code": "GROUP_AUTHORIZATION_FAILED",
        "problem": "not authorized to read the group ORDERS_KAFKA__GROUP_ID: add an ACL",
    }
    assert on_message_error(errors, error) == []
    assert len(on_message_error(errors, KafkaError(KafkaError.GROUP_MAX_SIZE_REACHED))) == 1
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_message_error(errors, error)) == 1


def test_an_error_without_an_explanation_is_logged_with_the_phrase_of_its_code(
    errors: ClientErrors, failure: ClientFailure
) -> None:
    (logged,) = on_message_error(errors, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert logged == {
        "event": "Kafka reports a problem",
        "log_level": "warning",
        "topic": TOPIC,
        "code": "TOPIC_AUTHORIZATION_FAILED",
        "problem": "topic authorization failed (TOPIC_AUTHORIZATION_FAILED)",
    }
    failure.raise_recorded()
