"""Creates the parts of the API and connects them; `command.py` starts them."""

from functools import partial

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.app.api.parts import ApiParts, Database, OrderCache
from service.app.api.warm_up_report import WarmUpReport
from service.app.build_info import build_info
from service.app.database import ApplicationName, connection_settings
from service.app.decoding import uid_reader, value_decoder
from service.app.metrics_registry import new_metrics
from service.config import CacheSettings, KafkaSettings, Settings
from service.errors import InvalidKeysFile, InvalidSettings
from service.handler.http.api import Backends
from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.requests.idempotency import IdempotentResponses
from service.handler.http.routes.dead_letter_replay import ReplayBackend
from service.handler.http.security.keys import KeyReloader, Keys
from service.handler.kafka.client import properties
from service.handler.kafka.client.group_lag import GroupLag
from service.handler.kafka.client.group_members import GroupMembers
from service.handler.kafka.client.login import PasswordWatch
from service.handler.kafka.client.next_timestamps import next_timestamps
from service.handler.kafka.dead_letters.browse import KafkaDeadLetterReader
from service.handler.kafka.dead_letters.delivery import ReplaceableProducer
from service.handler.kafka.dead_letters.replayer import API_DELIVERY_TIMEOUT_SECONDS, Replayer
from service.metrics import ApiMetrics
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.repo.conninfo import listen_conninfos
from service.repo.listener.callbacks import MergedCallbacks
from service.repo.listener.listeners import Listeners
from service.repo.reader.order_reader import PostgresOrderReader
from service.repo.reader.pool import ReadPool
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.cached_orders import CachedOrders
from service.usecases.change_propagation import ChangePropagation
from service.usecases.current_summaries import CurrentSummaries
from service.usecases.database_status import DatabaseStatus
from service.usecases.lookup import Lookup
from service.usecases.ports.reads import OrderReader
from service.usecases.staleness import Staleness
from service.usecases.stats.group import GroupReaders, GroupStatsReader
from service.usecases.stats.reader import StatsReader, StatsSources
from service.usecases.stats.view import Links, ProcessInfo, Thresholds
from service.usecases.warm_up import WarmUp


def build(settings: Settings) -> ApiParts:
    """Create the parts. Raises InvalidSettings."""
    log, metrics = structlog.get_logger("orders.api"), new_metrics(ApiMetrics, "api")
    pool = _read_pool(settings)
    reader = PostgresOrderReader(pool)
    entries = _entries(settings.cache, metrics)
    cached = _cached_orders(settings.cache, entries)
    broadcaster = _broadcaster(settings, CurrentSummaries(reader, cached.minimum_lsn.allows), metrics)
    cache = OrderCache(
        entries=entries,
        orders=cached,
        changes=ChangePropagation(cached, pool, broadcaster, metrics.cache.invalidations.inc),
        warm_up=_warm_up(settings.cache, reader, cached, log),
    )
    listeners = _listeners(settings, pool, cache, log)
    database = DatabaseStatus(reads=pool, notifications=listeners)
    keys, password_watch = _keys(settings), PasswordWatch(settings.kafka, log)
    stats = StatsReader(
        StatsSources(
            process=_process_info(settings),
            entries=entries,
            cached=cached,
            warm_up=cache.warm_up,
            stored=cache.changes.rate,
            event_clients=lambda: broadcaster.clients,
            database=database,
            orders=reader,
            group=_group(settings.kafka, password_watch),
        )
    )
    return ApiParts(
        log=log,
        metrics=metrics,
        keys=keys,
        key_reloader=None if keys is None else KeyReloader(keys, log),
        password_watch=password_watch,
        database=Database(pool=pool, listeners=listeners, status=database),
        cache=cache,
        broadcaster=broadcaster,
        stats=stats,
        backends=Backends(
            lookup=Lookup(reader, cached),
            bulk_lookup=BulkLookup(reader, cached),
            reader=reader,
            dead_letters=_dead_letters(settings.kafka, password_watch),
            replay=_replay(settings, metrics, password_watch),
            broadcaster=broadcaster,
            stats=stats.read,
        ),
    )


def _keys(settings: Settings) -> Keys | None:
    path = settings.auth.keys_file
    try:
        return None if path is None else Keys.load(path)
    except InvalidKeysFile as error:
        raise InvalidSettings(f"ORDERS_AUTH__KEYS_FILE: {error}") from None


def _read_pool(settings: Settings) -> ReadPool:
    connection = connection_settings(settings.postgres, ApplicationName.API)
    return ReadPool(connection, settings.postgres.pool_size)


def _broadcaster(settings: Settings, summaries: CurrentSummaries, metrics: ApiMetrics) -> EventBroadcaster:
    http = settings.http
    return EventBroadcaster(
        summaries.read,
        buffer_size=http.event_buffer_size,
        max_clients=http.max_event_clients,
        on_drop=metrics.events.clients_dropped.inc,
    )


def _entries(settings: CacheSettings, metrics: ApiMetrics) -> Lru:
    return Lru(max_entries=settings.max_entries, max_bytes=settings.max_bytes, on_evict=metrics.cache.evictions.inc)


def _cached_orders(settings: CacheSettings, entries: Lru) -> CachedOrders:
    absent = TTLSet(max_entries=settings.max_negative_entries, seconds=settings.negative_ttl)
    return CachedOrders(entries, absent, Staleness(settings.max_stale))


def _warm_up(settings: CacheSettings, reader: OrderReader, cached: CachedOrders, log: FilteringBoundLogger) -> WarmUp:
    report = WarmUpReport(log)
    return WarmUp(reader, cached, report, count=settings.warm_up_size, timeout_seconds=settings.warm_deadline)


def _listeners(settings: Settings, pool: ReadPool, cache: OrderCache, log: FilteringBoundLogger) -> Listeners:
    changes = cache.changes
    callbacks = MergedCallbacks(
        on_listen=changes.on_listen,
        on_lsn=cache.orders.minimum_lsn.advance,
        on_verified=changes.on_verified,
        on_notify=changes.on_notify,
        on_disconnect=changes.on_disconnect,
        on_repeated_timeouts=partial(cache.warm_up.stop_waiting, "not receiving notifications"),
    )
    return Listeners(
        listen_conninfos(settings.postgres),
        pool,
        callbacks,
        log,
        heartbeat=settings.listener.heartbeat,
    )


def _dead_letters(kafka: KafkaSettings, password_watch: PasswordWatch) -> KafkaDeadLetterReader:
    return KafkaDeadLetterReader(
        lambda: password_watch.add(Consumer(properties.dead_letter_reader(kafka))), kafka.dead_letter_topic
    )


def _replay(settings: Settings, metrics: ApiMetrics, password_watch: PasswordWatch) -> ReplayBackend:
    kafka, document = settings.kafka, settings.document
    timeout = {"message.timeout.ms": round(API_DELIVERY_TIMEOUT_SECONDS * 1_000)}
    producer = ReplaceableProducer(lambda: properties.without_logs(properties.producer(kafka)) | timeout)
    replayer = Replayer(
        lambda: password_watch.add(Consumer(properties.dead_letter_reader(kafka))),
        password_watch.add(producer),
        subscription=kafka.subscription,
        dead_letter_topic=kafka.dead_letter_topic,
        read_uid=uid_reader(document),
    )
    return ReplayBackend(
        replayer=replayer,
        responses=IdempotentResponses(),
        decode=value_decoder(document),
        max_value_bytes=document.max_message_bytes,
        outcomes=metrics.replays.outcomes,
    )


def _process_info(settings: Settings) -> ProcessInfo:
    page = settings.page
    return ProcessInfo(
        version=build_info("api")["version"],
        commit=settings.commit,
        thresholds=Thresholds(lag=page.max_lag, waiting_reads=page.max_waiting_reads),
        links=Links(
            metrics=page.metrics_url,
            grafana=page.grafana_url,
            kafka_ui=page.kafka_ui_url,
            runbooks=page.runbooks_url,
        ),
    )


def _group(kafka: KafkaSettings, password_watch: PasswordWatch) -> GroupStatsReader:
    # Silent: an unreachable Kafka would log every second, although the API does not depend on it.
    def admin() -> AdminClient:
        return password_watch.add(AdminClient(properties.silent_admin(kafka)))

    def group() -> Consumer:
        return password_watch.add(Consumer(properties.silent_consumer(kafka)))

    readers = GroupReaders(
        lag=GroupLag(admin, group, subscription=kafka.subscription, dead_letter_topic=kafka.dead_letter_topic),
        members=GroupMembers(admin, group_id=kafka.group_id, subscription=kafka.subscription),
        next_timestamps=partial(next_timestamps, lambda: Consumer(properties.order_peeker(kafka))),
    )
    return GroupStatsReader(readers)
