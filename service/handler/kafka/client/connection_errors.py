"""Explains why Kafka is unreachable, from librdkafka's log, which does not name the setting to check."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

BOOTSTRAP_SERVERS: Final = "ORDERS_KAFKA__BOOTSTRAP_SERVERS"
_PROPERTIES: Final = "in ORDERS_KAFKA__PROPERTIES"


class ConnectionFailure(NamedTuple):
    """Why a connection failed, and which setting to check. If `is_final`, retrying does not help.

    `broker` is the broker that advertises the address; None if it is not known to be an advertised one.
    """

    cause: str
    address: str = ""
    check: str = BOOTSTRAP_SERVERS
    is_final: bool = False
    broker: int | None = None

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
            check=f"sasl.username and sasl.password {_PROPERTIES}, or ORDERS_KAFKA__PASSWORD_FILE",
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


def explain(log: Iterable[str]) -> ConnectionFailure | None:
    """Return the most specific failure in a client's log; None if there is none."""
    lines = [*log]
    matches = ((failure, line) for pattern, failure in _FAILURE_PATTERNS for line in lines if re.search(pattern, line))
    return next((_with_address(failure, line) for failure, line in matches), None)


def _with_address(failure: ConnectionFailure, line: str) -> ConnectionFailure:
    if (found := _ADDRESS.search(line)) is None:
        return failure
    address, broker = found.groups()
    if not (broker or "").isdecimal():
        return failure._replace(address=address)
    check = f"advertised.listeners of broker {broker}" if failure.check == BOOTSTRAP_SERVERS else failure.check
    return failure._replace(address=address, check=check, broker=int(broker))
