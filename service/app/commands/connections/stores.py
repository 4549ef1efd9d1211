"""Creates the PostgreSQL stores of commands. Each raises CommandFailed if PostgreSQL is unreachable."""

from datetime import datetime

from service.app.database import ApplicationName, connection_settings
from service.config import PostgresSettings
from service.repo.connection_errors import require_postgres
from service.repo.operations.erasures import Erasures
from service.repo.operations.expired_orders import PostgresExpiredOrders
from service.repo.transactions import Transactions


def erasures(postgres: PostgresSettings) -> Erasures:
    return Erasures(_transactions(postgres, ApplicationName.ERASE), ApplicationName.CONSUMER)


def expired_orders(postgres: PostgresSettings, cutoff: datetime) -> PostgresExpiredOrders:
    return PostgresExpiredOrders(_transactions(postgres, ApplicationName.PRUNE), ApplicationName.CONSUMER, cutoff)


def _transactions(postgres: PostgresSettings, application: ApplicationName) -> Transactions:
    settings = connection_settings(postgres, application)
    require_postgres(settings.conninfo)
    return Transactions(settings)
