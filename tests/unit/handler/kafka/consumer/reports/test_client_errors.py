"""Errors of the client: a fatal one ends the process, the others are logged with what to do."""

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.errors import KafkaClientFailed
from service.handler.kafka.client.client_log import LOG_INTERVAL_SECONDS
from service.handler.kafka.consumer.partitions.statistics import PartitionEnd
from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from tests.kit.fake_consumer import TOPIC, message
from tests.kit.fakes import FakeClock

pytestmark = pytest.mark.usefixtures("clock")

FENCED = KafkaError(KafkaError.FENCED_INSTANCE_ID, "Static consumer fenced by other consumer", True)  # noqa: FBT003 - fatal
BROKER_DOWN = KafkaError(KafkaError._TRANSPORT)


@pytest.fixture
def errors() -> ClientErrors:
    return ClientErrors(TOPIC, structlog.get_logger())


def on_message_error(errors: ClientErrors, error: KafkaError, partition: int = 0, offset: int = 0) -> list[EventDict]:
    with capture_logs() as logs:
        errors.on_message_error(message(partition, offset), error)
    return [*logs]


def on_statistics(
    errors: ClientErrors, ends: dict[int, PartitionEnd], assigned: set[int], fetched: set[int]
) -> list[tuple[str, list[int]]]:
    """Return the events and partitions that these statistics cause."""
    with capture_logs() as logs:
        errors.on_statistics(ends, frozenset(assigned), fetched)
    return [(each["event"], each["partitions"]) for each in logs]


def test_a_fatal_error_of_the_client_is_raised(errors: ClientErrors) -> None:
    errors.raise_fatal()
    errors.on_error(FENCED)
    with pytest.raises(KafkaException, match="FENCED_INSTANCE_ID"):
        errors.raise_fatal()


def test_a_fatal_error_in_place_of_a_message_is_raised(errors: ClientErrors) -> None:
    assert on_message_error(errors, KafkaError(KafkaError._FATAL)) == []
    with pytest.raises(KafkaException, match="_FATAL"):
        errors.raise_fatal()


def test_the_first_fatal_error_is_kept_because_it_names_the_cause(errors: ClientErrors) -> None:
    errors.on_error(FENCED)
    on_message_error(errors, KafkaError(KafkaError._FATAL))
    with pytest.raises(KafkaException, match="FENCED_INSTANCE_ID"):
        errors.raise_fatal()


@pytest.mark.parametrize(
    "error", [FENCED, KafkaError(KafkaError._FATAL, f"Fatal error: {KafkaError(KafkaError.FENCED_INSTANCE_ID).str()}")]
)
def test_the_failure_that_ends_the_process_names_cause_and_remedy(errors: ClientErrors, error: KafkaError) -> None:
    with capture_logs() as logs:
        failure = errors.log_failure(error)
    assert isinstance(failure, KafkaClientFailed)
    assert str(failure).startswith("the Kafka client has failed (FENCED_INSTANCE_ID): another member has joined with")
    (logged,) = logs
    assert (logged["log_level"], logged["code"]) == ("error", "FENCED_INSTANCE_ID")
    assert "give each member its own" in logged["problem"]


def test_an_unknown_failure_has_the_phrase_of_its_code(errors: ClientErrors) -> None:
    failure = errors.log_failure(KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE, "value of an order"))
    assert "value of an order" not in str(failure)
    assert "(OFFSET_METADATA_TOO_LARGE)" in str(failure)


def test_other_errors_of_the_client_are_logged_once_in_a_while(errors: ClientErrors, clock: FakeClock) -> None:
    with capture_logs() as logs:
        errors.on_error(BROKER_DOWN)
        errors.on_error(BROKER_DOWN)
        errors.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        clock.advance(LOG_INTERVAL_SECONDS)
        errors.on_error(BROKER_DOWN)
    assert [each["code"] for each in logs] == ["_TRANSPORT", "_ALL_BROKERS_DOWN", "_TRANSPORT"]
    assert logs[0]["problem"] == "broker transport failure (_TRANSPORT)"
    errors.raise_fatal()


def test_a_batch_that_cannot_be_decompressed_is_logged_with_the_commands_that_help(
    errors: ClientErrors, clock: FakeClock
) -> None:
    error = KafkaError(KafkaError._BAD_COMPRESSION)
    (logged,) = on_message_error(errors, error, partition=2, offset=7)
    assert (logged["log_level"], logged["partition"], logged["offset"]) == ("error", 2, 7)
    assert "orders skip-batch 2 7 --to FILE" in logged["hint"]
    assert on_message_error(errors, error, partition=2, offset=7) == []
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_message_error(errors, error, partition=2, offset=7)) == 1


def test_a_missing_topic_is_logged_with_the_command_that_creates_it(errors: ClientErrors) -> None:
    (logged,) = on_message_error(errors, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert (logged["event"], logged["topic"]) == ("the topic does not exist: run `orders migrate`", TOPIC)


def test_the_reason_why_the_group_refuses_the_member_is_logged_repeatedly_but_throttled(
    errors: ClientErrors, clock: FakeClock
) -> None:
    error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    (logged,) = on_message_error(errors, error)
    assert logged["code"] == "GROUP_AUTHORIZATION_FAILED"
    assert "add an ACL" in logged["problem"]
    assert on_message_error(errors, error) == []
    clock.advance(LOG_INTERVAL_SECONDS)
    assert len(on_message_error(errors, error)) == 1


def test_an_error_without_an_explanation_is_logged_with_the_phrase_of_its_code(errors: ClientErrors) -> None:
    (logged,) = on_message_error(errors, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert (logged["log_level"], logged["code"], logged["topic"]) == ("warning", "TOPIC_AUTHORIZATION_FAILED", TOPIC)
    assert logged["problem"] == "topic authorization failed (TOPIC_AUTHORIZATION_FAILED)"
    errors.raise_fatal()


def test_a_transaction_that_stays_open_is_logged(errors: ClientErrors) -> None:
    ends = {0: PartitionEnd(10, 7), 1: PartitionEnd(10, 10), 2: PartitionEnd(10, 4)}
    assert on_statistics(errors, ends, assigned={0, 1}, fetched={0, 1}) == []
    moved = ends | {1: PartitionEnd(12, 10)}
    assert on_statistics(errors, moved, assigned={0, 1}, fetched={0, 1}) == [
        ("a producer's open transaction blocks the messages behind it", [0])
    ]
    assert on_statistics(errors, moved, assigned={0, 1}, fetched={0, 1}) == []  # at most once per interval


def test_transactions_that_follow_each_other_are_not_logged(errors: ClientErrors) -> None:
    for stable in (7, 8, 9):
        assert on_statistics(errors, {0: PartitionEnd(10, stable)}, assigned={0}, fetched={0}) == []


def test_a_partition_that_stays_without_an_offset_is_logged(errors: ClientErrors) -> None:
    assert on_statistics(errors, {}, assigned={0, 1}, fetched={1}) == []
    ((event, partitions),) = on_statistics(errors, {}, assigned={0, 1}, fetched=set())
    assert (event.startswith("Kafka does not return the group's offsets"), partitions) == (True, [0])
    assert on_statistics(errors, {}, assigned={0, 1}, fetched={0, 1}) == []
