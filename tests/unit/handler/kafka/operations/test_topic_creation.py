"""A migration retries requests of Kafka, except those that Kafka would reject again."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.config import KafkaSettings
from service.errors import CommandFailed, Stopped
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.operations.topic_creation import wait_for_broker
from service.pkg.polling import Poller
from service.pkg.shutdown_event import ShutdownEvent


class FailingAdmin(DiagnosticAdminClient):
    """A client whose requests fail, without a word in its log."""

    def __init__(self, code: int) -> None:
        super().__init__(KafkaSettings())
        self._code = code

    def list_topics(self, *_: Any, **__: Any) -> Any:
        raise KafkaException(KafkaError(self._code))

    def last_failure(self) -> None:
        return None


def test_a_request_that_kafka_would_reject_again_is_not_retried() -> None:
    with pytest.raises(CommandFailed, match=r"^Kafka rejected the request: .+ \(CLUSTER_AUTHORIZATION_FAILED\)$"):
        wait_for_broker(FailingAdmin(KafkaError.CLUSTER_AUTHORIZATION_FAILED), Poller(30, print))


@pytest.mark.parametrize(
    ("code", "name"),
    [(KafkaError._TRANSPORT, "_TRANSPORT"), (KafkaError.REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT")],
)
def test_other_requests_are_retried_until_a_shutdown(code: int, name: str) -> None:
    stop = ShutdownEvent()
    poller = Poller(30, lambda _: stop.set(), stop)  # the first report stops it
    with pytest.raises(Stopped, match=rf"^stopped while waiting for Kafka: .+ \({name}\)$"):
        wait_for_broker(FailingAdmin(code), poller)
