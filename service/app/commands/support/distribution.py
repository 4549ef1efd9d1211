"""Creates the store of `orders distribute`. It is separate from the others because it imports SQLAlchemy."""

from dataclasses import replace

from service.app.database import ApplicationName, connection_settings
from service.config import Settings
from service.repo.connection_errors import require_postgres
from service.repo.operations.distribution import PostgresTableDistributor


def table_distributor(settings: Settings, shard_count: int) -> PostgresTableDistributor:
    """Connect as `orders migrate` does, with its timeouts. Raises CommandFailed."""
    dsn, limits = settings.postgres.listen_dsns[0], settings.migration
    require_postgres(dsn)
    connection = replace(
        connection_settings(settings.postgres, ApplicationName.DISTRIBUTE),
        dsn=dsn,
        statement_timeout=limits.statement_timeout,
        lock_timeout=limits.lock_timeout,
    )
    return PostgresTableDistributor(connection, ApplicationName.CONSUMER, shard_count)
