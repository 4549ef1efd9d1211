"""The connection settings of each process."""

from enum import StrEnum

from service.config import PostgresSettings
from service.repo.connection import ConnectionSettings
from service.repo.conninfo import conninfo_of


class ApplicationName(StrEnum):
    """The `application_name` of a process's connections. It identifies them in pg_stat_activity."""

    CONSUMER = "orders-consumer"
    API = "orders-api"
    ERASE = "orders-erase"
    PRUNE = "orders-prune"
    DISTRIBUTE = "orders-distribute"


def connection_settings(postgres: PostgresSettings, application: ApplicationName) -> ConnectionSettings:
    return ConnectionSettings(
        conninfo_of(postgres),
        application.value,
        statement_timeout=postgres.statement_timeout,
        lock_timeout=postgres.lock_timeout,
        prepared_statements=postgres.prepared_statements,
    )
