"""The database and the cache of the API, each of several parts."""

from dataclasses import dataclass

from service.pkg.lru import Lru
from service.repo.listener.listeners import Listeners
from service.repo.reader.pool import ReadPool
from service.usecases.cached_orders import CachedOrders
from service.usecases.change_propagation import ChangePropagation
from service.usecases.ports.reads import OrderReader
from service.usecases.warm_up import WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    pool: ReadPool
    reader: OrderReader
    listeners: Listeners

    @property
    def is_reachable(self) -> bool:
        return self.listeners.is_verified or self.pool.is_reachable


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCache:
    entries: Lru
    orders: CachedOrders
    changes: ChangePropagation
    warm_up: WarmUp
