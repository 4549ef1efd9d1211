"""Checks that notifications of every server arrive, for `orders doctor`."""

from typing import TYPE_CHECKING

from service.errors import CheckFailed
from service.repo.connection_errors import address
from service.repo.listener.merged import NO_DATABASE, SAME_DATABASE, STANDBY
from service.repo.operations import checks

if TYPE_CHECKING:
    from service.config import PostgresSettings


def notifications(postgres: "PostgresSettings") -> str:
    """Describe how fast they arrive. Raises CheckFailed or psycopg.Error."""
    dsns = postgres.listen_dsns
    if len(dsns) == 1:
        return checks.notifications(postgres.model_copy(update={"listen_dsn": dsns[0]}))
    databases = [_database(postgres, dsn) for dsn in dsns]
    if len({*databases}) < len(databases):
        raise CheckFailed(SAME_DATABASE)
    if _database(postgres, postgres.dsn) not in databases:
        raise CheckFailed(NO_DATABASE)
    if _is_standby(postgres):
        raise CheckFailed(STANDBY)
    return ", ".join(f"{address(dsn)} {_notification(postgres, dsn)}" for dsn in dsns)


def _notification(postgres: "PostgresSettings", dsn: str) -> str:
    try:
        return checks.notifications(postgres.model_copy(update={"dsn": dsn, "listen_dsn": None}))
    except CheckFailed as error:
        raise CheckFailed(f"{address(dsn)}: {error}") from None


def _database(postgres: "PostgresSettings", dsn: str) -> str:
    with checks.connect(dsn, postgres) as connection:
        return str(connection.execute(checks.CURRENT_DATABASE).fetchone())


def _is_standby(postgres: "PostgresSettings") -> bool:
    with checks.connect(postgres.dsn, postgres) as connection:
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
