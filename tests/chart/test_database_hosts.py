"""`postgresql.host` outside the chart: libpq gets every host with the port."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.chart.helm import one, rejection, render

OUTSIDE = ["postgresql.enabled=false", "postgresql.existingSecret=login", "postgresql.port=6432"]


@pytest.mark.parametrize(
    ("host", "hosts", "ports"),
    [
        ("a", "a", "6432"),
        ("a\\,b", "a,b", "6432,6432"),
        ("[fd00::1]\\,b", "fd00::1,b", "6432,6432"),
        ("%2Frun%2Fpostgresql", "/run/postgresql", "6432"),
    ],
)
def test_every_host_has_the_port(host: str, hosts: str, ports: str) -> None:
    data = one(render(settings=[*OUTSIDE, f"postgresql.host={host}"]), "ConfigMap", "orders")["data"]
    parameters = conninfo_to_dict(data["ORDERS_POSTGRES__DSN"])
    assert (parameters["host"], parameters["port"]) == (hosts, ports)


@pytest.mark.parametrize("host", ["fd00::1", "a:5433", "a\\,\\,b", "a b"])
def test_a_malformed_host_is_rejected(host: str) -> None:
    """A port belongs to `postgresql.port`, and an IPv6 address into brackets."""
    assert any("'/postgresql/host'" in line for line in rejection(*OUTSIDE, f"postgresql.host={host}"))
