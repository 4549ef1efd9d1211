"""The WAL of the chart's PostgreSQL fits its volume."""

import re

import pytest

from tests.chart.helm import one, render


@pytest.mark.parametrize(
    ("settings", "megabytes"),
    [
        ([], 2_048),  # a quarter of 8Gi
        (["postgresql.persistence.size=1Gi"], 256),
        (["postgresql.persistence.size=500G"], 10_240),
        (["postgresql.persistence.size=64Mi"], 32),  # PostgreSQL's minimum
        (["postgresql.persistence.enabled=false"], 1_024),
        (["postgresql.maxWalSize=4Gi"], 4_096),
        (["postgresql.maxWalSize=20Gi", "postgresql.persistence.size=40Gi"], 20_480),
        (["postgresql.maxWalSize=20Gi", "postgresql.persistence.enabled=false"], 20_480),
    ],
)
def test_max_wal_size_depends_on_the_volume(settings: list[str], megabytes: int) -> None:
    script = one(render(settings=settings), "ConfigMap", "orders-postgresql")["data"]["prepare.sql"]
    assert re.findall(r"max_wal_size = '(.*)'", script) == [f"{megabytes}MB"]
