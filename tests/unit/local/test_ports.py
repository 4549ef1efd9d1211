import socket

import pytest

from local.ports import HOST, free_port, is_free, require_free
from service.errors import ServerUnavailable


class Forbidden(socket.socket):
    def bind(self, _address: object) -> None:
        raise PermissionError


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(ServerUnavailable, match=f"port {port} for the API: address already in use"):
            require_free(port, "the API")


def test_a_port_that_takes_a_privilege_is_not_called_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(ServerUnavailable, match="cannot listen on port 80 for the API: permission denied"):
        require_free(80, "the API")


def test_a_free_port_is_one_that_can_be_listened_on() -> None:
    with socket.create_server((HOST, free_port())) as server:
        assert not is_free(server.getsockname()[1])
