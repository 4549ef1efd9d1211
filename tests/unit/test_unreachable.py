"""Servers that can't be reached: every command says which, why and what to check, in one line and within seconds."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from time import monotonic

import pytest

from local.ports import free_port
from service import main
from service.handler.kafka.client import connection_errors as of_kafka
from service.repo import connection_errors as of_postgres

LIMIT_SECONDS = 5.0
START_SECONDS = 1.5
"""What a command takes until it asks: about a second."""
KAFKA = "ORDERS_KAFKA__BOOTSTRAP_SERVERS"
DSN = "ORDERS_POSTGRES__DSN"
SECRET = "hunter2"  # noqa: S105 - what must not be seen

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
]

End = Callable[..., str]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the servers less time than in use, which leaves room for the start of a process."""
    for module in (of_kafka, of_postgres):
        assert module.CONNECT_TIMEOUT_SECONDS + START_SECONDS < LIMIT_SECONDS
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 1.0)


@pytest.fixture
def end(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> End:
    """Run a command that must fail in time with one line and nothing else, and return that line."""

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
    """Take connections and answer all alike: with these bytes and a close, or never."""
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
                        kept.append(connection)
                except OSError:
                    return

        kept = list[socket.socket]()
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


@contextmanager
def black_hole() -> Iterator[int]:
    """Take no connection at all: with a full queue, what comes is dropped."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for each in (first, second):
            each.setblocking(False)  # noqa: FBT003 - the socket's own interface
            each.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("command", OF_KAFKA, ids=" ".join)
def test_each_command_says_that_kafka_can_not_be_reached(end: End, command: list[str]) -> None:
    port = free_port()
    assert end(*command, **{KAFKA: f"127.0.0.1:{port}"}) == (
        f"orders: cannot reach Kafka at 127.0.0.1:{port}: connection refused (after 1 s). Check {KAFKA}."
    )


def test_a_name_that_does_not_resolve_is_told(end: End) -> None:
    line = end("dlq", "list", **{KAFKA: "nowhere.invalid:9092"})
    assert line.startswith("orders: cannot reach Kafka at nowhere.invalid:9092: host name does not resolve (after ")


@pytest.mark.parametrize("kind", [server, black_hole])
def test_a_broker_that_never_answers_is_told(end: End, kind: Callable[[], AbstractContextManager[int]]) -> None:
    with kind() as port:
        line = end("dlq", "list", **{KAFKA: f"127.0.0.1:{port}"})
    assert line == f"orders: cannot reach Kafka at 127.0.0.1:{port}: timed out (after 1 s). Check {KAFKA}."


def test_a_server_of_another_kind_is_told_at_once(end: End) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        line = end("dlq", "list", **{KAFKA: f"127.0.0.1:{port}"})
    assert line.startswith(f"orders: cannot reach Kafka at 127.0.0.1:{port}: the server does not speak the Kafka proto")


def test_a_listener_that_closes_during_the_handshake_is_told(end: End) -> None:
    properties = '{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "me", '
    with server(b"") as port:
        line = end(
            "dlq", "list", ORDERS_KAFKA__PROPERTIES=f'{properties}"sasl.password": "{SECRET}"}}',
            **{KAFKA: f"127.0.0.1:{port}"},
        )  # fmt: skip
    assert line.endswith("Check security.protocol in ORDERS_KAFKA__PROPERTIES.")


def test_an_option_is_named_where_the_address_came_from_it(end: End) -> None:
    line = end("generate", "--count", "1", "--bootstrap-servers", f"127.0.0.1:{free_port()}")
    assert line.endswith(" Check --bootstrap-servers.")


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nowhere.invalid:{port}"])
def test_postgresql_that_can_not_be_reached_is_told(end: End, address: str) -> None:
    where = address.format(port=free_port())
    line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@{where}/orders"})
    cause = "host name does not resolve" if "nowhere" in where else "connection refused"
    assert line.startswith(f"orders: cannot connect to PostgreSQL at {where}: {cause} (after ")
    assert line.endswith(f"Check {DSN}.")


@pytest.mark.parametrize("kind", [server, black_hole])
def test_postgresql_that_never_answers_is_told(end: End, kind: Callable[[], AbstractContextManager[int]]) -> None:
    with kind() as port:
        line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@127.0.0.1:{port}/orders"})
    assert line.startswith(f"orders: cannot connect to PostgreSQL at 127.0.0.1:{port}: timed out (after 1 s). Check")


def test_a_server_of_another_kind_is_told_of_postgresql_too(end: End) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        line = end("erase", "--yes", "abc", **{DSN: f"postgresql://me:{SECRET}@127.0.0.1:{port}/orders"})
    assert "the server does not speak the PostgreSQL protocol" in line
