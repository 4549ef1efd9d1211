"""Unreachable servers: every command fails within seconds, with one line that names server, cause and setting."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from time import monotonic

import pytest

from local.ports import free_port
from service import main
from service.handler.kafka.client import diagnostics as of_kafka
from service.repo import connection_errors as of_postgres

LIMIT_SECONDS = 5.0
CONNECT_TIMEOUT_SECONDS = 0.9
"""Less than an attempt of the Kafka client, which lasts a second, or a little less: there is one attempt."""
START_SECONDS = 1.5
"""How long a command takes until it connects: about a second."""
KAFKA = "ORDERS_KAFKA__BOOTSTRAP_SERVERS"
DSN = "ORDERS_POSTGRES__DSN"
SECRET = "hunter2"  # noqa: S105 - must never be printed

OF_KAFKA = [
    ["dlq", "list"],
    ["dlq", "show", "0", "0"],
    ["dlq", "replay", "--dry-run"],
    ["rewind", "--to-timestamp", "2026-11-23T10:00:00Z"],
    ["skip-batch", "0", "0", "--dry-run"],
    ["generate", "--count", "1"],
    ["check"],
    ["smoke", "--url", "http://127.0.0.1:1"],
    ["erase", "--forget-older-than", "400d"],
    ["erase", "--undo", "abc"],
]

OF_POSTGRESQL = [
    ["erase", "--yes", "abc"],
    ["erase", "--dry-run", "abc"],
    ["prune", "--older-than", "400d", "--yes"],
    ["prune", "--older-than", "400d", "--dry-run"],
    ["distribute"],
]

End = Callable[..., str]


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts, and verify that the real ones leave time for the start of a process."""
    for module in (of_kafka, of_postgres):
        assert module.COMMAND_CONNECT_TIMEOUT_SECONDS + START_SECONDS < LIMIT_SECONDS
        monkeypatch.setattr(module, "COMMAND_CONNECT_TIMEOUT_SECONDS", CONNECT_TIMEOUT_SECONDS)


@pytest.fixture
def end(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> End:
    """Run a command that must fail in time, and return its only line of output."""

    def run(*command: str, **variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        began = monotonic()
        assert main.main(command) == 1
        assert monotonic() - began < LIMIT_SECONDS
        captured = capfd.readouterr()
        (line,) = captured.err.splitlines()
        assert captured.out == ""
        assert SECRET not in line
        return line

    return run


@contextmanager
def server(answer: bytes | None = None) -> Iterator[int]:
    """Accept connections; answer each with these bytes and close it, or never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                    if answer is not None:
                        connection.recv(1)
                        connection.sendall(answer)
                        connection.close()
                    else:
                        open_connections.append(connection)
                except OSError:
                    return

        open_connections = list[socket.socket]()
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in open_connections:
            connection.close()


@contextmanager
def black_hole() -> Iterator[int]:
    """Accept no connection: the listen queue is full, so that the kernel drops SYNs."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for each in (first, second):
            each.setblocking(False)  # noqa: FBT003 - the socket's own interface
            each.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("command", OF_KAFKA, ids=" ".join)
def test_each_command_reports_that_kafka_is_unreachable(end: End, command: list[str]) -> None:
    port = free_port()
    assert end(*command, **{KAFKA: f"127.0.0.1:{port}"}) == (
        f"orders: cannot reach Kafka at 127.0.0.1:{port}: connection refused (after 1 s). Check {KAFKA}."
    )


def test_a_host_name_that_does_not_resolve_is_reported(end: End) -> None:
    line = end("dlq", "list", **{KAFKA: "nowhere.invalid:9092"})
    assert line.startswith("orders: cannot reach Kafka at nowhere.invalid:9092: host name does not resolve (after ")


@pytest.mark.parametrize("kind", [server, black_hole])
def test_a_broker_that_never_answers_is_reported(end: End, kind: Callable[[], AbstractContextManager[int]]) -> None:
    with kind() as port:
        line = end("dlq", "list", **{KAFKA: f"127.0.0.1:{port}"})
    assert line == f"orders: cannot reach Kafka at 127.0.0.1:{port}: timed out (after 1 s). Check {KAFKA}."


def test_a_server_that_does_not_speak_the_kafka_protocol_is_reported(end: End) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        line = end("dlq", "list", **{KAFKA: f"127.0.0.1:{port}"})
    assert line.startswith(f"orders: cannot reach Kafka at 127.0.0.1:{port}: the server does not speak the Kafka proto")


def test_a_listener_that_closes_during_the_handshake_is_reported(end: End) -> None:
    properties = '{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "me", '
    with server(b"") as port:
        line = end(
            "dlq", "list", ORDERS_KAFKA__PROPERTIES=f'{properties}"sasl.password": "{SECRET}"}}',
            **{KAFKA: f"127.0.0.1:{port}"},
        )  # fmt: skip
    assert line.endswith("Check security.protocol in ORDERS_KAFKA__PROPERTIES.")


def test_the_option_is_named_if_it_set_the_address(end: End) -> None:
    line = end("generate", "--count", "1", "--bootstrap-servers", f"127.0.0.1:{free_port()}")
    assert line.endswith(" Check --bootstrap-servers.")


@pytest.mark.parametrize("command", OF_POSTGRESQL, ids=" ".join)
def test_each_command_reports_that_postgresql_is_unreachable(end: End, command: list[str]) -> None:
    port = free_port()
    line = end(*command, **{DSN: f"postgresql://127.0.0.1:{port}/orders"})
    assert re.sub(r"after \d+ s", "after 0 s", line) == (
        f"orders: cannot connect to PostgreSQL at 127.0.0.1:{port}: connection refused (after 0 s). Check {DSN}."
    )


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nowhere.invalid:{port}"])
def test_unreachable_postgresql_is_reported(end: End, address: str) -> None:
    where = address.format(port=free_port())
    line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@{where}/orders"})
    cause = "host name does not resolve" if "nowhere" in where else "connection refused"
    assert line.startswith(f"orders: cannot connect to PostgreSQL at {where}: {cause} (after ")
    assert line.endswith(f"Check {DSN}.")


@pytest.mark.parametrize("kind", [server, black_hole])
def test_postgresql_that_never_answers_is_reported(end: End, kind: Callable[[], AbstractContextManager[int]]) -> None:
    with kind() as port:
        line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@127.0.0.1:{port}/orders"})
    assert line.startswith(f"orders: cannot connect to PostgreSQL at 127.0.0.1:{port}: timed out (after 1 s). Check")


def test_a_server_that_does_not_speak_the_postgresql_protocol_is_reported(end: End) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@127.0.0.1:{port}/orders"})
    assert "the server does not speak the PostgreSQL protocol" in line
