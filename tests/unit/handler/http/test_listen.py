"""The default address accepts clients of both IP versions, so that pods work in clusters with IPv6, IPv4 or both."""

import socket

import pytest

from service.config.settings import AdminSettings, HttpSettings
from service.handler.http.serve import listen

LOCAL_ADDRESSES = ["127.0.0.1", "::1"]


def can_bind(address: str) -> bool:
    try:
        socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("address", [*filter(can_bind, LOCAL_ADDRESSES)])
@pytest.mark.parametrize("host", [HttpSettings().host, AdminSettings().host])
def test_by_default_clients_connect_over_ipv4_and_ipv6(host: str, address: str) -> None:
    with listen(host, 0) as listener:
        socket.create_connection((address, listener.getsockname()[1]), timeout=5).close()


def test_without_ipv6_in_the_kernel_clients_connect_over_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen(HttpSettings().host, 0) as listener:
        assert listener.family is socket.AF_INET
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5).close()


def test_one_address_is_listened_on_alone() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
