"""The parts of the API."""

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.keys import Keys
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.dead_letters.browse import Browser
from service.metrics import ApiMetrics
from service.pkg.lru import Lru
from service.repo.listener.listeners import Listeners
from service.repo.reader.order_reader import PostgresOrderReader
from service.usecases.change_propagation import ChangePropagation
from service.usecases.lookup import Lookup
from service.usecases.warm_up import WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    reader: PostgresOrderReader
    listeners: Listeners

    def is_reachable(self) -> bool:
        return self.listeners.is_verified or self.reader.is_reachable


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCache:
    entries: Lru
    lookup: Lookup
    changes: ChangePropagation
    warm_up: WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaReaders:
    dead_letters: Browser
    group_lag: GroupLag


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    settings: Settings
    log: FilteringBoundLogger
    metrics: ApiMetrics
    keys: Keys | None
    database: Database
    cache: OrderCache
    broadcaster: EventBroadcaster
    kafka: KafkaReaders
