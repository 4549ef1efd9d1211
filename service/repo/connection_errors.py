"""Explains why PostgreSQL cannot be reached, without the driver's text: it may hold a user, a host or a row."""

import os
import re
from time import monotonic
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from service.errors import CommandFailed
from service.pkg.network import COMMAND_CONNECT_TIMEOUT_SECONDS
from service.pkg.run_with_timeout import run_with_timeout
from service.repo.conninfo import Conninfo
from service.repo.passwords import PasswordUnavailable

DSN_VARIABLE: Final = "ORDERS_POSTGRES__DSN"
CONNECTION_FAILED: Final = "the connection to PostgreSQL failed"
_NO_CONNECTION: Final = "no connection"
_PHRASES: Final = (
    (
        r"Name or service not known|name resolution|No address associated|translate host name",
        "host name does not resolve",
    ),
    (r"refused", "connection refused"),
    (r"No such file or directory", "no such socket"),
    (r"timeout expired|timed out", "timed out"),
    (r"No route to host|Network is unreachable", "no route to host"),
    (r"starting up|not yet accepting connections|in recovery mode", "the server is starting up"),
    (r"shutting down", "the server is shutting down"),
    (r"root certificate file", "TLS handshake failed: cannot read the CA certificate (sslrootcert)"),
    (
        r"private key file",
        "TLS handshake failed: cannot read the private key (sslkey): missing or too permissive",
    ),
    (r"certificate file", "TLS handshake failed: cannot read the client certificate (sslcert)"),
    (r"does not match host name", "TLS handshake failed: the server's certificate is for another host name"),
    (r"certificate verify failed", "TLS handshake failed: the server's certificate is not trusted"),
    (r"valid client certificate", "authentication failed: the server requires a client certificate (sslcert, sslkey)"),
    (r" alert ", "TLS handshake failed: the server rejected the client certificate"),
    (r"does not support SSL", "TLS handshake failed: the server does not support TLS, which sslmode requires"),
    (r"password", "authentication failed: wrong or missing password"),
    (r"no encryption", "authentication failed: pg_hba.conf does not allow this connection without TLS"),
    (r"SSL encryption|pg_hba\.conf", "authentication failed: pg_hba.conf does not allow this connection"),
    (r"invalid response|unsupported frontend protocol", "the server does not speak the PostgreSQL protocol"),
    (r"not permitted to log in", "authentication failed: the role has no LOGIN"),
    (r"unsupported startup parameter", "the pooler rejects the connection string's options"),
    (r"permission denied", "permission denied: see roles.sql"),
    (r"too many (clients|connections)|remaining connection slots", "too many connections"),
    (r"database .* does not exist", "the database does not exist"),
    (r"role .* does not exist", "the role does not exist"),
    (r"server closed the connection|Connection reset", "the server closed the connection"),
)


def phrase(error: psycopg.Error) -> str | None:
    """Return the standard phrase for an error without SQLSTATE, or None if it is unknown."""
    message = str(error)
    if isinstance(error, PasswordUnavailable):
        return message
    return next((text for pattern, text in _PHRASES if re.search(pattern, message)), None)


def describe_with_address(error: psycopg.Error, dsn: str) -> str:
    """Return the address, and the phrase for an error without SQLSTATE."""
    return f"{address(dsn)}: {phrase(error) or _NO_CONNECTION}"


def describe(error: psycopg.Error) -> str:
    """Return a message for an error without SQLSTATE, with its phrase if it is known."""
    problem = phrase(error)
    return f"{CONNECTION_FAILED}: {problem}" if problem else CONNECTION_FAILED


def address(dsn: str) -> str:
    """Return the comma-separated host:port pairs of a connection string; never a user or a password."""
    parameters = conninfo_to_dict(dsn)

    def split(*names: str) -> list[str]:
        values = (parameters.get(name) or os.environ.get(f"PG{name.upper()}") for name in names)
        return str(next(filter(None, values), "")).split(",")

    hosts, ports = split("host", "hostaddr"), split("port")
    if not any(hosts):
        return "the local socket"
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ",".join(
        host if host.startswith("/") else f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=False)
    )


def require_postgres(conninfo: Conninfo) -> None:
    """Check that a connection can be opened, within COMMAND_CONNECT_TIMEOUT_SECONDS. Raises CommandFailed."""
    began, problem = monotonic(), "timed out"
    try:
        run_with_timeout(
            COMMAND_CONNECT_TIMEOUT_SECONDS,
            lambda: psycopg.connect(conninfo.resolve(), connect_timeout=round(COMMAND_CONNECT_TIMEOUT_SECONDS)).close(),
        )
    except TimeoutError:
        pass
    except psycopg.Error as error:
        problem = phrase(error) or _NO_CONNECTION
    else:
        return
    seconds = monotonic() - began
    raise CommandFailed(
        f"cannot connect to PostgreSQL at {address(conninfo.dsn)}: {problem} (after {seconds:.0f} s). "
        f"Check {DSN_VARIABLE}."
    )
