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
from service.usecases.ports.stats import PoolUsage
from service.usecases.stats.reader import StatsReader
from service.usecases.warm_up import WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Implements usecases.ports.stats.DatabaseStatus."""

    pool: ReadPool
    listeners: Listeners

    @property
    def is_reachable(self) -> bool:
        return self.listeners.is_verified or self.pool.is_reachable

    @property
    def sends_notifications(self) -> bool:
        return self.listeners.is_verified

    @property
    def pool_usage(self) -> PoolUsage:
        return self.pool.usage


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
