"""Creates the store of `orders distribute`. It is separate from the others because it imports SQLAlchemy."""

from dataclasses import replace

from service.app.database import ApplicationName, connection_settings
from service.config import Settings
from service.repo.connection_errors import require_postgres
from service.repo.conninfo import listen_conninfos
from service.repo.operations.distribution import PostgresTableDistributor


def table_distributor(settings: Settings, shard_count: int) -> PostgresTableDistributor:
    """Connect as `orders migrate` does, with its timeouts. Raises CommandFailed."""
    conninfo, limits = listen_conninfos(settings.postgres)[0], settings.migration
    require_postgres(conninfo)
    connection = replace(
        connection_settings(settings.postgres, ApplicationName.DISTRIBUTE),
        conninfo=conninfo,
        statement_timeout=limits.statement_timeout,
        lock_timeout=limits.lock_timeout,
    )
    return PostgresTableDistributor(connection, ApplicationName.CONSUMER, shard_count)
