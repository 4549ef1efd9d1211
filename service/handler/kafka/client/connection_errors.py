"""Explains why Kafka is unreachable, from librdkafka's log.

librdkafka repeats its messages many times a second and does not name the setting to check.
"""

import logging
import re
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, BrokerMetadata  # type: ignore[attr-defined]
from structlog.typing import FilteringBoundLogger

from service.errors import CommandError
from service.handler.kafka.client.error_phrases import phrase
from service.pkg.log_throttle import LogThrottle
from service.pkg.network import connection_problem

LOG_INTERVAL_SECONDS: Final = 30.0
CONNECT_TIMEOUT_SECONDS: Final = 3.0
"""How long a command waits for Kafka before it fails. Startup included, a command fails within 5 s."""
ADVERTISED_TIMEOUT_SECONDS: Final = 2.0
"""Timeout for connecting to an advertised address."""
_ATTEMPT_TIMEOUT_SECONDS: Final = 1.0
_MAX_LOG_LINES: Final = 200

BOOTSTRAP_SERVERS: Final = "ORDERS_KAFKA__BOOTSTRAP_SERVERS"
_PROPERTIES: Final = "in ORDERS_KAFKA__PROPERTIES"


class ConnectionFailure(NamedTuple):
    """Why a connection failed, and which setting to check. If `is_final`, retrying does not help."""

    cause: str
    address: str = ""
    check: str = BOOTSTRAP_SERVERS
    is_final: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.cause}" if self.address else self.cause


_FAILURE_PATTERNS: Final = (
    (
        r"Unsupported SASL mechanism",
        ConnectionFailure(
            "authentication failed: the broker does not support this SASL mechanism",
            check=f"sasl.mechanism {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"SASL authentication error|SASL .* authentication failed",
        ConnectionFailure(
            "authentication failed: wrong user or password",
            check=f"sasl.username and sasl.password {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"certificate verify failed",
        ConnectionFailure(
            "TLS handshake failed: the broker's certificate is untrusted or does not match the host name",
            check=f"ssl.ca.location {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"SSL routines.* alert ",
        ConnectionFailure(
            "TLS handshake failed: the broker requires a client certificate, or rejected this one",
            check=f"ssl.certificate.location and ssl.key.location {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"PLAINTEXT broker listener",
        ConnectionFailure(
            "TLS handshake failed: the listener does not speak TLS",
            check=f"security.protocol {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"SSL handshake failed",
        ConnectionFailure("TLS handshake failed", check=f"the ssl.* properties {_PROPERTIES}"),
    ),
    (
        r"Disconnected.*(APIVERSION_QUERY|AUTH_|SSL_HANDSHAKE)",
        ConnectionFailure(
            "connection closed during the handshake: the listener may use another security.protocol",
            check=f"security.protocol {_PROPERTIES}",
        ),
    ),
    (r"Invalid response size", ConnectionFailure("the server does not speak the Kafka protocol", is_final=True)),
    (r"Failed to resolve", ConnectionFailure("host name does not resolve")),
    (r"Connection refused", ConnectionFailure("connection refused")),
    (r"No route to host|Network is unreachable", ConnectionFailure("no route to host")),
    (
        r"setup timed out|Connection timed out|[Rr]equest timed out|request\(s\) timed out",
        ConnectionFailure("timed out"),
    ),
)
"""Most specific first: librdkafka tries every address of a host and may log several failures."""

_ADDRESS: Final = re.compile(r"\]: (?:GroupCoordinator: |TxnCoordinator: )?(?:\w+://)?([^\s/]+:\d+)(?:/(\w+))?: ")
"""`sasl_ssl://kafka:9093/bootstrap: …`; for an advertised address the broker's id replaces `bootstrap`."""


class AdvertisedBroker(NamedTuple):
    """The address that a broker advertises, and why it is unreachable; `problem` is None if it is reachable."""

    broker: int
    address: str
    problem: str | None

    def __str__(self) -> str:
        return f"broker {self.broker} at {self.address}{f' ({self.problem})' if self.problem else ''}"


class DiagnosticAdminClient(AdminClient):
    """An AdminClient that captures its log, and explains failures from it."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self._lines = _LineBuffer()
        super().__init__(properties, logger=_logger(self._lines))

    def last_failure(self) -> ConnectionFailure | None:
        """Return the most specific failure since the last call; None if there was none."""
        self.poll(0)
        return explain(self._lines.drain())

    def check_advertised(self, timeout: float) -> list[AdvertisedBroker]:
        """Connect to the address that each broker advertises. Raises KafkaException."""
        brokers = sorted(self.list_topics(timeout=timeout).brokers.values(), key=lambda broker: broker.id)
        with ThreadPoolExecutor(max(1, len(brokers))) as pool:
            return [*pool.map(_check_advertised, brokers)]


class _LineBuffer(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._buffer: deque[str] = deque(maxlen=_MAX_LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._buffer.append(record.getMessage())

    def drain(self) -> list[str]:
        lines = [*self._buffer]
        self._buffer.clear()
        return lines


class _ExplainingHandler(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        if (failure := explain([record.getMessage()])) is None:
            _forward(record)
        elif self._throttle.is_due(str(failure)):
            self._log.warning("cannot reach Kafka", address=failure.address, problem=failure.cause, check=failure.check)


def _forward(record: logging.LogRecord) -> None:
    logger = logging.getLogger("librdkafka")
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def client_logger(log: FilteringBoundLogger) -> logging.Logger:
    """Return a logger for a client: connection failures are explained and rate-limited, other lines are forwarded."""
    return _logger(_ExplainingHandler(log))


def explain(log: Iterable[str]) -> ConnectionFailure | None:
    """Return the most specific failure in a client's log; None if there is none."""
    lines = [*log]
    matches = ((failure, line) for pattern, failure in _FAILURE_PATTERNS for line in lines if re.search(pattern, line))
    return next((_with_address(failure, line) for failure, line in matches), None)


def require_kafka(properties: dict[str, Any], *, setting: str = BOOTSTRAP_SERVERS) -> None:
    """Block for a few seconds, until Kafka answers and at least one broker is reachable at its advertised address.

    `setting` is the source of `bootstrap.servers`. Raises CommandError, which names address, cause and setting;
    KafkaException if librdkafka rejects the properties.
    """
    admin, began = DiagnosticAdminClient(properties), monotonic()
    _require_answer(admin, properties["bootstrap.servers"], setting, began)
    try:
        brokers = admin.check_advertised(_ATTEMPT_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise CommandError(f"cannot list the brokers of Kafka: {phrase(error.args[0])}") from None
    if brokers and all(broker.problem for broker in brokers):
        raise CommandError(
            f"cannot reach any broker at its advertised address: {', '.join(map(str, brokers))}. "
            "Check the brokers' advertised.listeners."
        )


def to_command_error(
    error: KafkaException, properties: dict[str, Any], setting: str = BOOTSTRAP_SERVERS
) -> CommandError:
    """Return the error message for a failed call. If the client itself failed, connect again to find out why."""
    problem = error.args[0]
    if problem.code() < 0:  # an error of the client; errors that a broker returns explain themselves
        try:
            require_kafka(properties, setting=setting)
        except CommandError as unreachable_error:
            return unreachable_error
    return CommandError(f"Kafka: {phrase(problem)}")


def _require_answer(admin: DiagnosticAdminClient, servers: str, setting: str, began: float) -> None:
    failure = ConnectionFailure("timed out", servers)
    while True:
        try:
            admin.list_topics(timeout=_ATTEMPT_TIMEOUT_SECONDS)
        except KafkaException:
            failure = admin.last_failure() or failure
        else:
            return
        seconds = monotonic() - began
        if failure.is_final or seconds >= CONNECT_TIMEOUT_SECONDS:
            check = setting if failure.check == BOOTSTRAP_SERVERS else failure.check
            raise CommandError(f"cannot reach Kafka at {failure} (after {seconds:.0f} s). Check {check}.")


def _check_advertised(broker: BrokerMetadata) -> AdvertisedBroker:
    problem = connection_problem(str(broker.host), broker.port, ADVERTISED_TIMEOUT_SECONDS)
    return AdvertisedBroker(broker.id, f"{broker.host}:{broker.port}", problem)


def _with_address(failure: ConnectionFailure, line: str) -> ConnectionFailure:
    if (found := _ADDRESS.search(line)) is None:
        return failure
    address, broker = found.groups()
    if failure.check == BOOTSTRAP_SERVERS and (broker or "").isdecimal():
        return failure._replace(address=address, check=f"advertised.listeners of broker {broker}")
    return failure._replace(address=address)


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - one per client, outside the logger hierarchy
    logger.addHandler(handler)
    return logger
