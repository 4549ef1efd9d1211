"""Creates the parts of the consumer and connects them; `command.py` starts them."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.app.build_info import build_info
from service.app.consumer.loop_wiring import GroupClients, LoopWiring
from service.app.database import ApplicationName, connection_settings
from service.app.decoding import document_decoder, message_decoder, schema_cache
from service.app.metrics_registry import new_metrics
from service.config import KafkaSettings, Settings
from service.entities.message_format import MessageFormat
from service.handler.http.admin import AdminServer, admin_app
from service.handler.http.routes.probes import Health
from service.handler.kafka.client import properties
from service.handler.kafka.client.client_log import client_logger
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.diagnostics import DiagnosticAdminClient
from service.handler.kafka.client.login import PasswordWatch
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.reports.retry_report import RetryReport
from service.handler.kafka.consumer.reports.topic_report import report_topics
from service.handler.kafka.consumer.undecoded import UndecodedRecords
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.handler.kafka.registry.schemas import SchemaCache
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.connection import require_utf8
from service.repo.transactions import TransactionEnd, Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.bisection import BisectingStore
from service.usecases.circuit_breaker import CircuitBreaker
from service.usecases.ingest import BatchMiddleware, Ingest, refuse_undecoded
from service.usecases.retention import RetentionPolicy

DeadLetterSender = DeadLetterProducer | TransactionalDeadLetters


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerParts:
    consumer: OrderConsumer
    topic_report: Callable[[], None]
    """Logs problems with the topics. Blocks until Kafka answers."""
    password_watch: Callable[[], None]
    """Passes a new password on to the Kafka clients. Blocks until shutdown if there is a password file."""
    admin: AdminServer
    dead_letters: DeadLetterSender
    store: PostgresOrderStore


def build(settings: Settings, stop: ShutdownEvent, middleware: BatchMiddleware) -> ConsumerParts:
    """Create the parts. Raises PropertyRejected and KafkaRequestFailed."""
    properties.verify(settings.kafka)  # now, because the producer is created only for the first dead letter
    log, metrics = structlog.get_logger("orders.consumer"), new_metrics(ConsumerMetrics, "consumer")
    password_watch = PasswordWatch(settings.kafka, log)
    group, report = _group(settings), RetryReport(metrics, log)
    admin = password_watch.add(_kafka_admin(settings.kafka))
    store, dead_letters = _store(settings), password_watch.add(_dead_letters(settings, stop, group, admin))
    schemas = schema_cache(settings.registry)
    counted = {each: metrics.ingest.decoded.labels(each).inc for each in MessageFormat}
    loop = LoopWiring(
        clients=GroupClients(
            group=group,
            connect=lambda added: password_watch.add(_member(settings.kafka, log, added)),
            admin=admin,
        ),
        builder=BatchBuilder(_decoder(settings, metrics, schemas, counted), store.prepare, metrics),
        ingest=Ingest(
            store=_bisecting_store(settings, store, report),
            dead_letters=dead_letters,
            breaker=CircuitBreaker(settings.circuit_breaker),
            backoff=settings.retry.backoff,
            stop=stop,
            observer=report,
            decode=_undecoded(settings, metrics, schemas, store) if schemas else refuse_undecoded,
            middleware=middleware,
        ),
        settings=settings,
        metrics=metrics,
        log=log,
        stop=stop,
    )
    reporting_admin = password_watch.add(DiagnosticAdminClient(settings.kafka))
    topic_report = partial(report_topics, settings.kafka, reporting_admin, log, stop)
    return ConsumerParts(
        consumer=loop.consumer,
        topic_report=topic_report,
        password_watch=partial(password_watch.run, stop),
        admin=_admin(settings, loop.consumer, metrics, log),
        dead_letters=dead_letters,
        store=store,
    )


def _group(settings: Settings) -> ConsumerGroup:
    kafka = settings.kafka
    return ConsumerGroup(
        kafka.subscription.names,
        pattern=properties.subscribed_pattern(kafka),
        is_transactional=settings.dead_letters.exactly_once,
    )


def _member(kafka: KafkaSettings, log: FilteringBoundLogger, added: dict[str, Any]) -> Consumer:
    with properties.verified(kafka.properties):
        return Consumer(properties.member(kafka) | added, logger=client_logger(log))


def _kafka_admin(kafka: KafkaSettings) -> AdminClient:
    """Return the client that the reading and the writing thread share: AdminClient is thread-safe, as librdkafka is.

    It does not log connection errors, because the group's member logs them.
    """
    return AdminClient(properties.silent_admin(kafka))


def _store(settings: Settings, end: TransactionEnd = "COMMIT") -> PostgresOrderStore:
    connection = connection_settings(settings.postgres, ApplicationName.CONSUMER)
    retention = RetentionPolicy.of_seconds(settings.retention.max_age)
    return PostgresOrderStore(
        Transactions(connection, require_utf8, end),
        settings.version.compare_by,
        retention,
        max_versions=settings.history.max_versions,
    )


def _bisecting_store(settings: Settings, store: PostgresOrderStore, report: RetryReport) -> BisectingStore:
    trial_store = partial(_trial_store, settings)
    return BisectingStore(store, trial_store, report.on_bisected, max_seconds=settings.postgres.statement_timeout)


def _trial_store(settings: Settings) -> closing[PostgresOrderStore]:
    return closing(_store(settings, "ROLLBACK"))


def _dead_letters(
    settings: Settings, stop: ShutdownEvent, group: ConsumerGroup, admin: AdminClient
) -> DeadLetterSender:
    kafka, encoder = settings.kafka, DeadLetterEncoder(settings.kafka.group_id)
    if not settings.dead_letters.exactly_once:
        return DeadLetterProducer(partial(properties.producer, kafka), kafka.dead_letter_topic, encoder, stop)
    client = partial(properties.transactional, kafka, f"{kafka.group_id}-{uuid4()}")
    checks = TransactionChecks(admin, lambda: Consumer(properties.silent_consumer(kafka)))
    return TransactionalDeadLetters(client, kafka.dead_letter_topic, encoder, group, checks)


def _decoder(
    settings: Settings,
    metrics: ConsumerMetrics,
    schemas: SchemaCache | None,
    count: Mapping[MessageFormat, Callable[[], None]],
) -> MessageDecoder:
    decoder = document_decoder(
        settings.document,
        on_unknown=metrics.anomalies.unknown_fields.inc,
        on_mismatch=lambda path: metrics.anomalies.amount_mismatches.labels(path).inc(),
        on_coerced=metrics.anomalies.coerced_values.inc,
    )
    return message_decoder(settings.document, decoder, count, schemas)


def _undecoded(
    settings: Settings, metrics: ConsumerMetrics, schemas: SchemaCache, store: PostgresOrderStore
) -> UndecodedRecords:
    return UndecodedRecords(
        partial(_decoder, settings, metrics, schemas),
        store.prepare,
        schemas.load,
        partial(set_registry_up, metrics),
    )


def set_registry_up(metrics: ConsumerMetrics, is_up: bool | None) -> None:  # noqa: FBT001 - a gauge's value
    """Report whether the last call to the schema registry succeeded; None if that no longer matters."""
    if is_up is None:
        metrics.dependency_up.remove("registry")
    else:
        metrics.dependency_up.labels("registry").set(is_up)


def _admin(
    settings: Settings, consumer: OrderConsumer, metrics: ConsumerMetrics, log: FilteringBoundLogger
) -> AdminServer:
    app = admin_app(health(consumer, settings), metrics.registry, build_info("consumer"), log)
    return AdminServer(app, settings.admin.host, settings.admin.port)


def health(consumer: OrderConsumer, settings: Settings) -> Health:
    """Live: the loop polls, even if Kafka and PostgreSQL are unreachable. Started: it has. Ready: it does not drain."""
    has_started = {"loop has polled": lambda: consumer.has_started}
    polls = {"loop polls": lambda: consumer.seconds_since_poll < settings.admin.liveness_timeout}
    is_running = {"not draining": lambda: not consumer.is_draining}
    return Health(live=polls, ready=has_started | is_running, started=has_started)
