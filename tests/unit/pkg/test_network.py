import errno
import socket
from threading import Event

import pytest

from local.ports import HOST, free_port
from service.pkg.network import connection_problem, os_error_phrase, resolution_problem


def resolve(host: str, port: None) -> None:
    """Stands in for `socket.getaddrinfo`."""
    assert port is None
    if host.endswith(".invalid"):
        raise socket.gaierror


def test_a_listening_port_has_no_problem() -> None:
    with socket.create_server((HOST, 0)) as server:
        host, port = server.getsockname()
        assert connection_problem(host, port, seconds=5) is None


def test_a_port_without_a_listener_refuses_the_connection() -> None:
    assert connection_problem(HOST, free_port(), seconds=5) == "connection refused"


def test_a_host_that_does_not_resolve_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.pkg.network.socket.getaddrinfo", resolve)
    monkeypatch.setattr("service.pkg.network.socket.create_connection", lambda *_: pytest.fail("it connects"))
    assert connection_problem("kafka.invalid", 9092, seconds=5) == "host name does not resolve"


@pytest.mark.parametrize(
    ("call", "problem"),
    [("getaddrinfo", "host name does not resolve within 0.05 s"), ("create_connection", "timed out")],
)
def test_a_call_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch, call: str, problem: str) -> None:
    released = Event()

    def hang(*_: object) -> socket.socket:
        released.wait(5)
        raise ConnectionRefusedError

    monkeypatch.setattr(f"service.pkg.network.socket.{call}", hang)
    try:
        assert connection_problem("127.0.0.1", 5432, seconds=0.05) == problem
    finally:
        released.set()


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (TimeoutError(), "timed out"),
        (ConnectionRefusedError(), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "host name does not resolve"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable"),
        (OSError(), "oserror"),
    ],
)
def test_an_error_has_a_standard_phrase(error: OSError, phrase: str) -> None:
    assert os_error_phrase(error) == phrase


def test_the_first_host_that_does_not_resolve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []

    def resolve_and_record(host: str, port: None) -> None:
        resolve(host, port)
        resolved.append(host)

    monkeypatch.setattr("service.pkg.network.socket.getaddrinfo", resolve_and_record)
    assert resolution_problem(["[::1]", "KAFKA-X"]) is None
    assert resolved == ["::1", "KAFKA-X"]
    assert resolution_problem(["kafka", "a.invalid", "b.invalid"]) == "a.invalid: host name does not resolve"
