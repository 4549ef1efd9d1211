"""The consumer waits until Kafka answers, and then reports problems with the topics and brokers once."""

from collections.abc import Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog import get_logger
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.config import KafkaSettings
from service.handler.kafka.client.diagnostics import AdvertisedBroker, DiagnosticAdminClient
from service.handler.kafka.consumer.reports.topic_report import report_topics
from service.pkg.shutdown_event import ShutdownEvent

TIMED_OUT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
FORBIDDEN = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
KAFKA = KafkaSettings(topics="orders,archive")


class FakeAdmin:
    """A cluster of topics with these size limits. The first requests for metadata raise `errors`, one each."""

    def __init__(self, limits: dict[str, int], *errors: Exception) -> None:
        self._limits = limits
        self._errors = [*errors]
        self.brokers = [AdvertisedBroker(1, "kafka-1:9092", None)]

    def list_topics(self, timeout: float) -> Any:
        assert timeout > 0
        if self._errors:
            raise self._errors.pop(0)
        return SimpleNamespace(topics=dict.fromkeys(self._limits, SimpleNamespace(partitions={}, error=None)))

    def check_advertised(self, timeout: float) -> list[AdvertisedBroker]:
        assert timeout > 0
        if self._errors:
            raise self._errors[0]
        return self.brokers

    def describe_configs(self, resources: Iterable[Any], request_timeout: float) -> dict[Any, Future[Any]]:
        assert request_timeout > 0
        return {
            each: _done({"max.message.bytes": SimpleNamespace(value=self._limits[each.name])}) for each in resources
        }

    def last_failure(self) -> None:
        return None


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class RecordedStop(ShutdownEvent):
    """Records the waits instead of waiting; is set by the tenth."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.is_set() or len(self.waits) == 10


@pytest.fixture
def stop() -> RecordedStop:
    return RecordedStop()


def reported(admin: FakeAdmin, stop: ShutdownEvent) -> list[EventDict]:
    with capture_logs() as logs:
        report_topics(KAFKA, cast("DiagnosticAdminClient", admin), get_logger(), stop)
    return [*logs]


def test_topics_that_exist_and_accept_each_message_are_not_reported(stop: RecordedStop) -> None:
    assert reported(FakeAdmin({"orders": 1, "archive": 2, "orders.dlq": 2}), stop) == []
    assert stop.waits == []


def test_each_topic_that_does_not_exist_is_reported(stop: RecordedStop) -> None:
    event = "the topic does not exist: run `orders migrate`"
    assert reported(FakeAdmin({"orders": 2}), stop) == [
        {"event": event, "log_level": "error", "topic": "archive"},
        {"event": event, "log_level": "error", "topic": "orders.dlq"},
    ]


def test_a_dead_letter_topic_that_refuses_large_messages_is_reported(stop: RecordedStop) -> None:
    problem = "max.message.bytes of orders.dlq is 1, less than the 2 of archive"
    assert reported(FakeAdmin({"orders": 1, "archive": 2, "orders.dlq": 1}), stop) == [
        {"event": "problem with the topics", "log_level": "warning", "problem": problem}
    ]


def test_a_broker_with_an_unreachable_address_is_reported(stop: RecordedStop) -> None:
    admin = FakeAdmin({"orders": 1, "archive": 1, "orders.dlq": 1})
    admin.brokers.append(AdvertisedBroker(2, "kafka-2:9092", "connection refused"))
    assert reported(admin, stop) == [
        {
            "event": "broker advertises an unreachable address", "log_level": "error",
            "broker": 2, "address": "kafka-2:9092", "problem": "connection refused",
        }
    ]  # fmt: skip


def test_a_request_that_kafka_would_reject_again_is_reported(stop: RecordedStop) -> None:
    (logged,) = reported(FakeAdmin({}, FORBIDDEN), stop)
    assert logged == {
        "event": "problem with the topics",
        "log_level": "warning",
        "problem": "Kafka rejected the request: topic authorization failed (TOPIC_AUTHORIZATION_FAILED)",
    }
    assert stop.waits == []


def test_other_requests_are_repeated_until_kafka_answers(stop: RecordedStop) -> None:
    assert [each["topic"] for each in reported(FakeAdmin({"orders": 1, "archive": 1}, TIMED_OUT, TIMED_OUT), stop)] == [
        "orders.dlq"
    ]
    assert stop.waits == [5, 5]


def test_requests_are_not_repeated_after_a_shutdown(stop: RecordedStop) -> None:
    stop.set()
    assert reported(FakeAdmin({}, TIMED_OUT), stop) == []


def test_an_unforeseen_error_is_raised(stop: RecordedStop) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        reported(FakeAdmin({}, RuntimeError("a bug")), stop)
