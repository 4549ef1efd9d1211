"""Checks that notifications of every server arrive, for `orders doctor`."""

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from psycopg.errors import ReadOnlySqlTransaction

from service.errors import CheckFailed
from service.repo.connection_errors import address
from service.repo.listener.merged import NO_DATABASE, OTHER_DATABASE, SAME_DATABASE, STANDBY
from service.repo.operations.postgres_checks import connect
from service.repo.scope import DATABASE

if TYPE_CHECKING:
    from service.config import PostgresSettings

NOTIFICATION_TIMEOUT_SECONDS: Final = 5.0
DATABASE_AND_IS_STANDBY: Final = f"SELECT {DATABASE}, pg_is_in_recovery()"
"""Whether two connections lead to the same database, and whether the server is a standby."""
LISTEN: Final = "LISTEN orders_doctor"
"""Fails on a standby."""
NOTIFY: Final = "NOTIFY orders_doctor"
"""Sends the notification that LISTEN waits for."""


def all_listeners(postgres: "PostgresSettings") -> str:
    """Return how fast notifications arrive. Raises CheckFailed or StorageError."""
    dsns = postgres.listen_dsns
    _require_databases(postgres, dsns)
    if len(dsns) == 1:
        return _delivery(postgres, dsns[0])
    return ", ".join(f"{address(dsn)} {_delivery_of_several(postgres, dsn)}" for dsn in dsns)


def _require_databases(postgres: "PostgresSettings", dsns: Sequence[str]) -> None:
    """Apply the checks of the API's listeners."""
    databases = [_database(postgres, dsn)[0] for dsn in dsns]
    if len({*databases}) < len(databases):
        raise CheckFailed(SAME_DATABASE)
    read, is_standby = _database(postgres, postgres.dsn)
    if read not in databases:
        raise CheckFailed(OTHER_DATABASE if len(dsns) == 1 else NO_DATABASE)
    if is_standby and len(dsns) > 1:
        raise CheckFailed(STANDBY)


def _database(postgres: "PostgresSettings", dsn: str) -> tuple[str, bool]:
    """Return the database that the DSN leads to, and whether the server is a standby."""
    with connect(dsn, postgres) as connection:
        [(database, is_standby)] = connection.execute(DATABASE_AND_IS_STANDBY).fetchall()
        return database, is_standby


def _delivery_of_several(postgres: "PostgresSettings", dsn: str) -> str:
    try:
        return _delivery(postgres, dsn)
    except CheckFailed as error:
        raise CheckFailed(f"{address(dsn)}: {error}") from None


def _delivery(postgres: "PostgresSettings", dsn: str) -> str:
    with connect(dsn, postgres) as listener, connect(dsn, postgres) as notifier:
        try:
            listener.execute(LISTEN)
        except ReadOnlySqlTransaction:
            raise CheckFailed("a standby does not support LISTEN") from None
        started_at = monotonic()
        notifier.execute(NOTIFY)
        if not list(listener.notifies(timeout=NOTIFICATION_TIMEOUT_SECONDS, stop_after=1)):
            raise CheckFailed(f"no notification within {NOTIFICATION_TIMEOUT_SECONDS:g} s")
    return f"delivered in {(monotonic() - started_at) * 1_000:.0f} ms"
