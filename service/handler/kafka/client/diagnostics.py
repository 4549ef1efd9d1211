"""An AdminClient that explains why Kafka is unreachable."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, BrokerMetadata, ClusterMetadata  # type: ignore[attr-defined]

from service.errors import KafkaRequestFailed, KafkaUnavailable
from service.handler.kafka.client import properties
from service.handler.kafka.client.client_log import LineBuffer, new_logger
from service.handler.kafka.client.connection_errors import BOOTSTRAP_SERVERS, ConnectionFailure, explain
from service.pkg.network import COMMAND_CONNECT_TIMEOUT_SECONDS, connection_problem

if TYPE_CHECKING:
    from service.config import KafkaSettings

ADVERTISED_TIMEOUT_SECONDS: Final = 2.0
"""Timeout for connecting to an advertised address."""
_ATTEMPT_TIMEOUT_SECONDS: Final = 1.0
_NO_ANSWER: Final = {"_TIMED_OUT", "_TRANSPORT"}
"""The errors of a metadata request without an answer, or without a broker to send it to, within its timeout."""


class AdvertisedBroker(NamedTuple):
    """The address that a broker advertises, and why it is unreachable; `problem` is None if it is reachable."""

    broker: int
    address: str
    problem: str | None

    def __str__(self) -> str:
        return f"broker {self.broker} at {self.address}{f' ({self.problem})' if self.problem else ''}"


class DiagnosticAdminClient(AdminClient):
    """An AdminClient that captures its log, and explains failures from it."""

    def __init__(self, kafka: "KafkaSettings") -> None:
        """Raise PropertyRejected if librdkafka rejects the properties."""
        self._lines = LineBuffer()
        with properties.verified(kafka.properties):
            super().__init__(properties.common(kafka), logger=new_logger(self._lines))

    def last_failure(self) -> ConnectionFailure | None:
        """Return the most specific failure since the last call; None if there was none."""
        self.poll(0)
        return explain(self._lines.drain())

    def list_topics(
        self, topic: str | None = None, timeout: float = COMMAND_CONNECT_TIMEOUT_SECONDS
    ) -> ClusterMetadata:
        """Return the metadata of one topic or all. Raises KafkaException after `timeout` seconds.

        The request is repeated: the client may send it to a broker that is unreachable, and would then wait in vain.
        """
        deadline = monotonic() + timeout
        topics = () if topic is None else (topic,)
        while True:
            left = max(deadline - monotonic(), 0.0)  # librdkafka waits forever if a timeout is negative
            try:
                return super().list_topics(*topics, timeout=min(_ATTEMPT_TIMEOUT_SECONDS, left))
            except KafkaException as error:
                if error.args[0].name() not in _NO_ANSWER or not left:
                    raise

    def check_advertised(self, timeout: float) -> list[AdvertisedBroker]:
        """Connect to the address that each broker advertises. Raises KafkaException.

        If no metadata request succeeds, return the broker that the client failed to connect to instead.
        """
        try:
            return _connect_to(self.list_topics(timeout=timeout).brokers.values())
        except KafkaException:
            self.poll(0)
            if (failure := explain(self._lines.copy())) is None or failure.broker is None:
                raise
            return [AdvertisedBroker(failure.broker, failure.address, failure.cause)]


def require_kafka(kafka: "KafkaSettings", *, setting: str = BOOTSTRAP_SERVERS) -> None:
    """Block for a few seconds, until Kafka answers and at least one broker is reachable at its advertised address.

    `setting` is the source of `bootstrap_servers`. Raises KafkaRequestFailed, PropertyRejected.
    """
    admin, began = DiagnosticAdminClient(kafka), monotonic()
    metadata = _await_metadata(admin, kafka.bootstrap_servers, setting, began)
    brokers = _connect_to(metadata.brokers.values())
    if brokers and all(broker.problem for broker in brokers):
        raise KafkaRequestFailed(
            f"cannot reach any broker at its advertised address: {', '.join(map(str, brokers))}. "
            "Check the brokers' advertised.listeners."
        )


@contextmanager
def diagnosed(kafka: "KafkaSettings", setting: str = BOOTSTRAP_SERVERS) -> Iterator[None]:
    """If the block raises KafkaUnavailable, connect again to find out why.

    Raises KafkaRequestFailed with the cause, and not KafkaUnavailable, so that an outer block does not connect again.
    """
    try:
        yield
    except KafkaUnavailable as error:
        require_kafka(kafka, setting=setting)
        raise KafkaRequestFailed(str(error)) from error


def _await_metadata(admin: DiagnosticAdminClient, servers: str, setting: str, began: float) -> ClusterMetadata:
    failure = ConnectionFailure("timed out", servers)
    while True:
        try:
            return admin.list_topics(timeout=_ATTEMPT_TIMEOUT_SECONDS)
        except KafkaException:
            failure = admin.last_failure() or failure
        seconds = monotonic() - began
        if failure.is_final or seconds >= COMMAND_CONNECT_TIMEOUT_SECONDS:
            check = setting if failure.check == BOOTSTRAP_SERVERS else failure.check
            raise KafkaRequestFailed(f"cannot reach Kafka at {failure} (after {seconds:.0f} s). Check {check}.")


def _connect_to(brokers: Iterable[BrokerMetadata]) -> list[AdvertisedBroker]:
    ordered = sorted(brokers, key=lambda broker: broker.id)
    with ThreadPoolExecutor(max(1, len(ordered))) as pool:
        return [*pool.map(_check_advertised, ordered)]


def _check_advertised(broker: BrokerMetadata) -> AdvertisedBroker:
    problem = connection_problem(str(broker.host), broker.port, ADVERTISED_TIMEOUT_SECONDS)
    return AdvertisedBroker(broker.id, f"{broker.host}:{broker.port}", problem)
