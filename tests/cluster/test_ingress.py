"""The API behind Traefik, as an Ingress and as an HTTPRoute of the Gateway API."""

import json
from collections.abc import Callable

import pytest

from tests.cluster.addons import needs_api
from tests.cluster.loader import Loader
from tests.cluster.release import Release
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

TRAEFIK = "traefik.traefik"
"""Address of its Service."""
LISTENER_PORT = 8000
"""Port of Traefik's entry point `web`."""
GATEWAY_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "traefik"},
    "spec": {"controllerName": "traefik.io/gateway-controller"},
}
GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "public"},
    "spec": {
        "gatewayClassName": "traefik",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": LISTENER_PORT}],
    },
}
INGRESS_HOST, ROUTE_HOST = "ingress.example.com", "route.example.com"
VALUES = {
    "ingress": {"enabled": True, "className": "traefik", "hosts": [INGRESS_HOST]},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": [ROUTE_HOST]},
}


def test_behind_an_ingress_and_a_gateway_upgrades_fail_no_request(
    release: Release, measured: Callable[[str], None]
) -> None:
    needs_api("gateway.networking.k8s.io/v1")
    for each in (GATEWAY_CLASS, GATEWAY):
        release.kubectl("apply", "--filename", "-", stdin=json.dumps(each))
    release.install(*(part for name, value in VALUES.items() for part in ("--set-json", f"{name}={json.dumps(value)}")))
    release.generate(1_000)
    release.wait_for_generator()
    for host in (INGRESS_HOST, ROUTE_HOST):
        eventually(lambda host=host: status(release, host) == "200", within=60, what=f"200 from {host}")  # type: ignore[misc]
    assert status(release, "unknown.example.com") == "404"
    requests = [rollout(release, host) for host in (INGRESS_HOST, ROUTE_HOST)]
    measured(f"{requests[0]:,} requests through the Ingress and {requests[1]:,} through the HTTPRoute, 0 failed")


def rollout(release: Release, host: str) -> int:
    """Restart the API under load. Return the number of requests, of which none failed."""
    with Loader(release, address=TRAEFIK, host=host).get() as results:
        release.restart("api")
    assert results.failed == {}
    assert results.succeeded > 100
    return results.succeeded


def status(release: Release, host: str) -> str:
    """Return the HTTP status with which Traefik answers a request for orders of this host."""
    source = (
        "import http.client as h, sys; c = h.HTTPConnection(sys.argv[1], timeout=5);"
        "c.request('GET', '/orders', headers={'Host': sys.argv[2]}); print(c.getresponse().status)"
    )
    where = (f"deployment/{release.name}-consumer", "--container", "consumer")
    return release.kubectl("exec", *where, "--", "python", "-c", source, TRAEFIK, host).strip()
