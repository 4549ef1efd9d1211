"""The Host header: required, unique and well-formed (RFC 9112), and in the list of allowed hosts if there is one."""

import pytest

from service.handler.http.security.hosts import AllowedHosts
from tests.kit.http_requests import MISS, PLAIN
from tests.kit.in_memory_api import InMemoryApi
from tests.kit.in_memory_server import InMemoryServer, ServerPair, run_server

ALLOWED = ["orders.example", "*.internal.example", "[::1]", "127.0.0.1"]


@pytest.mark.parametrize(
    "host",
    [b"orders.example", b"ORDERS.example:8000", b"orders.example.", b"a.internal.example", b"[::1]:80", b"127.0.0.1"],
)
def test_a_host_of_the_list_is_allowed(host: bytes) -> None:
    assert AllowedHosts(ALLOWED).allow(host)


@pytest.mark.parametrize(
    "host",
    [b"", b"evil.example", b"orders.example.evil.example", b"internal.example", b"xinternal.example", b"127.0.0.2",
     b"orders.example:80:80", b"orders.example/", b"evil.example@orders.example", b"orders.example, evil.example"],
)  # fmt: skip
def test_another_host_is_not_allowed(host: bytes) -> None:
    assert not AllowedHosts(ALLOWED).allow(host)


@pytest.mark.parametrize("allowed", [AllowedHosts(), AllowedHosts(["*"])])
def test_without_a_list_every_well_formed_host_is_allowed(allowed: AllowedHosts) -> None:
    assert allowed.allow(b"anything:1")
    assert allowed.allow(b"")
    assert not allowed.allow(b"two words")


@pytest.mark.parametrize(("host", "status"), [("orders.example:8000", 200), ("evil.example", 421)])
def test_the_application_answers_other_hosts_with_a_problem(host: str, status: int) -> None:
    with InMemoryApi(allowed_hosts=ALLOWED).client as client:
        response = client.get("/openapi.json", headers={"host": host})
        assert response.status_code == status
        assert client.get("/livez", headers={"host": host}).status_code == 200
    if status == 421:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "urn:orders:problem:host-not-allowed"
        assert "evil" not in response.text


def test_a_cached_order_is_not_served_to_another_host() -> None:
    async def scenario(server: InMemoryServer) -> None:
        server.fill()
        for host, expected in ((b"x", b"200"), (b"evil", b"421"), (b"x", b"200")):
            result = await server.exchange([PLAIN.replace(b"host: x", b"host: " + host)], waits_for_responses=True)
            assert result.written.startswith(b"HTTP/1.1 " + expected)

    run_server(scenario, allowed_hosts=["x"])


@pytest.mark.parametrize("request_", [PLAIN, MISS])
@pytest.mark.parametrize(
    "host", [b"", b"host: x\r\nhost: x\r\n", b"host: x\r\nHost: y\r\n", b"host: a b\r\n", b"host: a/b\r\n"]
)
def test_a_missing_repeated_or_malformed_host_gets_400(request_: bytes, host: bytes) -> None:
    answered = ServerPair().compare(request_.replace(b"host: x\r\n", host))
    assert answered.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in answered


def test_an_older_client_needs_no_host() -> None:
    old = PLAIN.replace(b"HTTP/1.1\r\nhost: x", b"HTTP/1.0")
    assert ServerPair().compare(old).startswith(b"HTTP/1.1 200 OK")
