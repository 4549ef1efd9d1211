"""The parts of the API, connected and not started."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from service.handler.http.api import Backends
from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.security.keys import KeyReloader, Keys
from service.handler.kafka.client.login import PasswordWatch
from service.metrics import ApiMetrics
from service.pkg.lru import Lru
from service.repo.listener.listeners import Listeners
from service.repo.reader.pool import ReadPool
from service.usecases.cached_orders import CachedOrders
from service.usecases.change_propagation import ChangePropagation
from service.usecases.database_status import DatabaseStatus
from service.usecases.stats.reader import StatsReader
from service.usecases.warm_up import WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    pool: ReadPool
    listeners: Listeners
    status: DatabaseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCache:
    entries: Lru
    orders: CachedOrders
    changes: ChangePropagation
    warm_up: WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    log: FilteringBoundLogger
    metrics: ApiMetrics
    keys: Keys | None
    key_reloader: KeyReloader | None
    password_watch: PasswordWatch
    database: Database
    cache: OrderCache
    broadcaster: EventBroadcaster
    stats: StatsReader
    backends: Backends
