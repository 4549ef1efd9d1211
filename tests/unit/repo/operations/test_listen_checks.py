"""Checks of several listeners. tests/integration/test_doctor.py runs them on servers."""

import psycopg
import pytest

from service.config import PostgresSettings
from service.errors import CheckFailed
from service.repo.operations import listen_checks


def test_the_timeout_for_connecting_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = []

    def connect(_: str, *, connect_timeout: int, **__: object) -> None:
        timeouts.append(connect_timeout)
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", connect)
    postgres = PostgresSettings(listen_dsn='["postgresql://a/orders", "postgresql://b/orders"]', connect_timeout=7)
    with pytest.raises(CheckFailed, match="a:5432: connection refused"):
        listen_checks.all_listeners(postgres)
    assert timeouts == [7]
