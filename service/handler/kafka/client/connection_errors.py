"""Explains why Kafka can't be reached: the client's own log says it many times a second, and not what to do."""

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

from service.entities.errors import CommandRefused
from service.handler.kafka.client.error_phrases import phrase
from service.pkg.log_throttle import LogThrottle
from service.pkg.network import unreachable

LOG_INTERVAL_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 3.0
"""How long a command waits for an answer before it says what is wrong: with its own start, under 5 s."""
ADVERTISED_SECONDS: Final = 2.0
"""How long connecting to an advertised address may take."""
_ATTEMPT_SECONDS: Final = 1.0
_KEPT_LINES: Final = 200

BOOTSTRAP_SERVERS: Final = "ORDERS_KAFKA__BOOTSTRAP_SERVERS"
_PROPERTIES: Final = "in ORDERS_KAFKA__PROPERTIES"


class ConnectionFailure(NamedTuple):
    """Why one address can't be used, and which setting to check; no other attempt succeeds where `is_final`."""

    cause: str
    address: str = ""
    check: str = BOOTSTRAP_SERVERS
    is_final: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.cause}" if self.address else self.cause


_SIGNS: Final = (
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
            "TLS handshake failed: the broker's certificate is not trusted, or is for another host name",
            check=f"ssl.ca.location {_PROPERTIES}",
            is_final=True,
        ),
    ),
    (
        r"SSL routines.* alert ",
        ConnectionFailure(
            "TLS handshake failed: the broker requires a client certificate, or refuses this one",
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
"""Causes that more can be done about come first: a client tries every address of a host."""

_ADDRESS: Final = re.compile(r"\]: (?:GroupCoordinator: |TxnCoordinator: )?(?:\w+://)?([^\s/]+:\d+)(?:/(\w+))?: ")
"""`sasl_ssl://kafka:9093/bootstrap: …`; in place of `bootstrap` stands the number of a broker that advertised it."""


class AdvertisedBroker(NamedTuple):
    """An address that a broker tells its clients to use, and why it can't be reached from here."""

    broker: int
    address: str
    problem: str | None

    def __str__(self) -> str:
        return f"broker {self.broker} at {self.address}{f' ({self.problem})' if self.problem else ''}"


class DiagnosticAdminClient(AdminClient):
    """An AdminClient that keeps its log to itself and explains what stands in it."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self._kept = _Kept()
        super().__init__(properties, logger=_logger(self._kept))

    def last_failure(self) -> ConnectionFailure | None:
        """Return the cause of what failed since the last call."""
        self.poll(0)
        return explain(self._kept.taken())

    def check_advertised(self, timeout: float) -> list[AdvertisedBroker]:
        """Try the address that each broker advertises. Raises KafkaException."""
        brokers = sorted(self.list_topics(timeout=timeout).brokers.values(), key=lambda broker: broker.id)
        with ThreadPoolExecutor(max(1, len(brokers))) as pool:
            return [*pool.map(_advertised, brokers)]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._texts: deque[str] = deque(maxlen=_KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())

    def taken(self) -> list[str]:
        texts = [*self._texts]
        self._texts.clear()
        return texts


class _Explained(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log
        self._seldom = LogThrottle(LOG_INTERVAL_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        if (failure := explain([record.getMessage()])) is None:
            _pass_on(record)
        elif self._seldom.is_due(str(failure)):
            self._log.warning(
                "Kafka can't be reached", address=failure.address, problem=failure.cause, check=failure.check
            )


def _pass_on(record: logging.LogRecord) -> None:
    logger = logging.getLogger("librdkafka")
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def client_logger(log: FilteringBoundLogger) -> logging.Logger:
    """Return what a client may log to: each cause is logged now and then, to_command_error; all else is passed on."""
    return _logger(_Explained(log))


def explain(texts: Iterable[str]) -> ConnectionFailure | None:
    """Return the most telling failure of what a client logged; None where there is none."""
    lines = [*texts]
    return next((_at(failure, line) for sign, failure in _SIGNS for line in lines if re.search(sign, line)), None)


def require_kafka(properties: dict[str, Any], *, setting: str = BOOTSTRAP_SERVERS) -> None:
    """Return once Kafka answers and some broker can be reached where it says that it is.

    `setting` is where the addresses come from. Blocks for a few seconds at most. Raises CommandRefused, which names
    address, cause and setting; KafkaException where librdkafka refuses the properties.
    """
    admin, began = DiagnosticAdminClient(properties), monotonic()
    _require_answer(admin, properties["bootstrap.servers"], setting, began)
    try:
        brokers = admin.check_advertised(_ATTEMPT_SECONDS)
    except KafkaException as error:
        raise CommandRefused(f"Kafka does not list its brokers: {phrase(error.args[0])}") from None
    if brokers and all(broker.problem for broker in brokers):
        raise CommandRefused(
            f"cannot reach any broker at the address that it advertises: {', '.join(map(str, brokers))}. "
            "Check the brokers' advertised.listeners."
        )


def to_command_error(
    error: KafkaException, properties: dict[str, Any], setting: str = BOOTSTRAP_SERVERS
) -> CommandRefused:
    """Return the line for a call that failed. Where the client itself gave up, it tries again to find out why."""
    problem = error.args[0]
    if problem.code() < 0:  # of the client; a broker's answer needs no more explanation
        try:
            require_kafka(properties, setting=setting)
        except CommandRefused as refused:
            return refused
    return CommandRefused(f"Kafka: {phrase(problem)}")


def _require_answer(admin: DiagnosticAdminClient, servers: str, setting: str, began: float) -> None:
    failure = ConnectionFailure("timed out", servers)
    while True:
        try:
            admin.list_topics(timeout=_ATTEMPT_SECONDS)
        except KafkaException:
            failure = admin.last_failure() or failure
        else:
            return
        seconds = monotonic() - began
        if failure.is_final or seconds >= CONNECT_SECONDS:
            check = setting if failure.check == BOOTSTRAP_SERVERS else failure.check
            raise CommandRefused(f"cannot reach Kafka at {failure} (after {seconds:.0f} s). Check {check}.")


def _advertised(broker: BrokerMetadata) -> AdvertisedBroker:
    problem = unreachable(str(broker.host), broker.port, ADVERTISED_SECONDS)
    return AdvertisedBroker(broker.id, f"{broker.host}:{broker.port}", problem)


def _at(failure: ConnectionFailure, line: str) -> ConnectionFailure:
    if (found := _ADDRESS.search(line)) is None:
        return failure
    address, broker = found.groups()
    if failure.check == BOOTSTRAP_SERVERS and (broker or "").isdecimal():
        return failure._replace(address=address, check=f"advertised.listeners of broker {broker}")
    return failure._replace(address=address)


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("librdkafka")  # noqa: LOG001 - of one client, and not in the tree
    logger.addHandler(handler)
    return logger
