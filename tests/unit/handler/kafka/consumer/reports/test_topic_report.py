"""The consumer reports problems with the topics once, and waits until Kafka answers."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException
from structlog import get_logger
from structlog.testing import capture_logs

from service.config import KafkaSettings
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.consumer.reports.topic_report import report_topics
from service.pkg.shutdown_event import ShutdownEvent


class FailingAdmin(DiagnosticAdminClient):
    """A client whose requests fail; the first failed one requests a shutdown."""

    def __init__(self, code: int, stop: ShutdownEvent) -> None:
        super().__init__(KafkaSettings())
        self._code = code
        self._stop = stop

    def list_topics(self, *_: Any, **__: Any) -> Any:
        self._stop.set()
        raise KafkaException(KafkaError(self._code))

    def last_failure(self) -> None:
        return None


def logged(code: int) -> list[Any]:
    stop = ShutdownEvent()
    with capture_logs() as lines:
        report_topics(KafkaSettings(), FailingAdmin(code, stop), get_logger(), stop)
    return [(line["event"], line["problem"]) for line in lines]


def test_a_request_that_kafka_would_reject_again_is_reported() -> None:
    ((event, problem),) = logged(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert event == "problem with the topics"
    assert problem.startswith("Kafka rejected the request: ")
    assert problem.endswith(" (TOPIC_AUTHORIZATION_FAILED)")


def test_other_errors_are_retried_until_a_shutdown_and_not_reported() -> None:
    assert logged(KafkaError._TRANSPORT) == []
