"""A fatal error of the client ends the process, with its cause and what to do."""

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from service.errors import CommandFailed
from service.handler.kafka.consumer.reports.client_failure import ClientFailure

FENCED = KafkaError(KafkaError.FENCED_INSTANCE_ID, "Static consumer fenced by other consumer", True)  # noqa: FBT003 - fatal


@pytest.fixture
def failure() -> ClientFailure:
    return ClientFailure(structlog.get_logger())


def test_nothing_is_raised_until_a_fatal_error_is_recorded(failure: ClientFailure) -> None:
    failure.raise_recorded()
    failure.record(FENCED)
    with pytest.raises(KafkaException, match="FENCED_INSTANCE_ID"):
        failure.raise_recorded()


def test_the_first_fatal_error_is_kept_because_it_names_the_cause(failure: ClientFailure) -> None:
    failure.record(FENCED)
    failure.record(KafkaError(KafkaError._FATAL))
    with pytest.raises(KafkaException, match="FENCED_INSTANCE_ID"):
        failure.raise_recorded()


@pytest.mark.parametrize(
    "error", [FENCED, KafkaError(KafkaError._FATAL, f"Fatal error: {KafkaError(KafkaError.FENCED_INSTANCE_ID).str()}")]
)
def test_the_failure_that_ends_the_process_names_cause_and_remedy(failure: ClientFailure, error: KafkaError) -> None:
    with capture_logs() as logs:
        failed = failure.log_and_translate(error)
    assert isinstance(failed, CommandFailed)
    assert str(failed).startswith("the Kafka client has failed (FENCED_INSTANCE_ID): another member has joined with")
    (logged,) = logs
    assert "give each member its own" in logged.pop("problem")
    assert logged == {
        "event": "the Kafka client has failed: the process exits",
        "log_level": "error",
        "code": "FENCED_INSTANCE_ID",
    }


def test_an_unknown_failure_has_the_phrase_of_its_code(failure: ClientFailure) -> None:
    failed = failure.log_and_translate(KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE, "value of an order"))
    assert "value of an order" not in str(failed)
    assert "(OFFSET_METADATA_TOO_LARGE)" in str(failed)
