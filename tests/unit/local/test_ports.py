import socket

import pytest

from local.ports import HOST, free_port, is_free, is_listening, require_free
from service.errors import ServerUnavailable


class Forbidden(socket.socket):
    def bind(self, _address: object) -> None:
        raise PermissionError


def test_a_port_with_a_listener_is_in_use() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(ServerUnavailable, match=f"port {port} for the API: address already in use"):
            require_free(port, "the API")


def test_a_bound_port_is_in_use_before_its_server_listens() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        port = server.getsockname()[1]
        assert not is_free(port)
        assert not is_listening(port)
        server.listen()
        assert is_listening(port)


def test_a_privileged_port_is_reported_as_permission_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(ServerUnavailable, match="cannot listen on port 80 for the API: permission denied"):
        require_free(80, "the API")


def test_a_free_port_accepts_a_listener() -> None:
    with socket.create_server((HOST, free_port())) as server:
        assert not is_free(server.getsockname()[1])


def test_a_free_port_is_outside_the_ephemeral_range() -> None:
    port = free_port()
    require_free(port, "a test")
    assert port < 32_768
