"""Migrations without a server. tests/integration/test_migrations.py runs them on one."""

from collections.abc import Callable

import psycopg
import pytest

from service.config import MigrationSettings, PostgresSettings
from service.errors import Stopped, StorageUnavailable
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.conninfo import Conninfo, conninfo_of
from service.repo.schema.migrate import migrate, schema_number, wait_for_migrations


@pytest.fixture
def timeouts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The timeouts for connecting to a server that refuses connections."""
    used: list[int] = []

    def connect(_: str, *, connect_timeout: int, **__: object) -> None:
        used.append(connect_timeout)
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", connect)
    return used


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (schema_number, StorageUnavailable),
        (lambda conninfo: until_it_waits(migrate, conninfo), Stopped),
        (lambda conninfo: until_it_waits(wait_for_migrations, conninfo), Stopped),
    ],
)
def test_the_timeout_for_connecting_is_that_of_the_settings(
    timeouts: list[int], call: Callable[[Conninfo], object], error: type[Exception]
) -> None:
    with pytest.raises(error, match="connection refused"):
        call(conninfo_of(PostgresSettings(connect_timeout=7)))
    assert set(timeouts) == {7}


def until_it_waits(call: Callable[..., None], conninfo: Conninfo) -> None:
    """Stop the call when it reports that it waits."""
    stop = ShutdownEvent()
    call(conninfo, MigrationSettings(), echo=lambda _: stop.set(), stop=stop)
