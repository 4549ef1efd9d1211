"""`orders consumer`: its parts, started in the order of the lines and stopped in reverse."""

import argparse
import gc
import sys
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Final
from uuid import uuid4

import structlog
from confluent_kafka import KafkaException
from structlog.typing import FilteringBoundLogger

from service.app import shared
from service.app.tracing import tracing
from service.config import Kafka, Settings
from service.entities.errors import MigrationError, StorageError, StorageUnavailable
from service.handler.http.admin import AdminServer, admin_app
from service.handler.http.routes.probes import Health
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient
from service.handler.kafka.consumer.decode import Decoder, Rules
from service.handler.kafka.consumer.group_metadata import GroupMetadata
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.settings import ConsumerSettings
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.metrics import Metrics
from service.pkg.polling import TryAgain
from service.pkg.retry import Backoff
from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals
from service.pkg.tx import Transactions
from service.repo.connection import require_utf8
from service.repo.writes import OrderWriter
from service.usecases.batch import BatchLimits
from service.usecases.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy
from service.usecases.ingest import BatchMiddleware, Ingest

_LOOK_AGAIN_SECONDS: Final = 5.0
_ADVERTISED_SECONDS: Final = 5.0
_COLLECT_AFTER: Final = 200_000
"""Objects more than before after which the garbage collector looks: above what two batches hold."""
_SWITCH_SECONDS: Final = 0.0005
"""How long the reading thread may keep the interpreter from the writing one; 5 ms by default."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Read, store and dead-letter until SIGTERM or SIGINT; return the exit code.

    Raises PortUnavailable or InvalidSettings.
    """
    with tracing(**shared.about("consumer")) as middleware:
        _run_until_stopped(settings, middleware)
    return 0


def _run_until_stopped(settings: Settings, middleware: BatchMiddleware) -> None:
    stop = stop_at_signals()
    properties.verify(settings.kafka)  # the producer of dead letters is made when there is one
    log = structlog.get_logger("orders.consumer")
    metrics = shared.new_metrics("consumer")
    transactions = Transactions(shared.access(settings.postgres, shared.WRITER), require_utf8)
    writer = OrderWriter(transactions, settings.version.compare_by)
    member = GroupMetadata(
        properties.consumer(settings.kafka), settings.kafka.topic, commits=settings.dead_letters.exactly_once
    )
    dead_letters = _dead_letters(settings, stop, member)
    ingest = Ingest(
        writer, dead_letters, _breaker(settings), _backoff(settings), stop, RetryReport(metrics, log), middleware
    )
    consumer = OrderConsumer(
        member,
        decoder=_decoder(settings, metrics),
        prepare=writer.prepare,
        ingest=ingest,
        settings=_consumer_settings(settings),
        metrics=metrics,
        log=log,
        stop=stop,
    )
    admin = AdminServer(
        admin_app(_consumer_health(consumer, settings), metrics.registry, shared.about("consumer"), log),
        settings.admin.host,
        settings.admin.port,
    )
    _tune_interpreter()
    admin.start()
    Thread(target=_look_at_topics, args=(settings.kafka, log, stop), name="topics", daemon=True).start()
    try:
        consumer.run()
    finally:
        admin.stop()
        dead_letters.close()
        writer.close()


def _tune_interpreter() -> None:
    """Spare the garbage collector work, and switch threads sooner.

    Batches hold no reference cycles, so a collection would search thousands of messages for nothing. The writing thread
    needs the interpreter briefly but often: for a few instructions after each answer of PostgreSQL, which is idle until
    then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    sys.setswitchinterval(_SWITCH_SECONDS)


def _dead_letters(
    settings: Settings, stop: ShutdownEvent, member: GroupMetadata
) -> DeadLetterProducer | TransactionalDeadLetters:
    kafka, encoder = settings.kafka, DeadLetterEncoder(settings.kafka.group_id)
    if settings.dead_letters.exactly_once:
        of_this_process = properties.transactional(kafka, f"{kafka.group_id}-{uuid4()}")
        return TransactionalDeadLetters(of_this_process, kafka.dead_letter_topic, encoder, member)
    return DeadLetterProducer(properties.producer(kafka), kafka.dead_letter_topic, encoder, stop)


def _look_at_topics(kafka: Kafka, log: FilteringBoundLogger, stop: ShutdownEvent) -> None:
    """Say at the start, and not at the first dead letter, that a topic is missing or too small."""
    client = DiagnosticAdminClient(properties.common(kafka))
    while not stop.is_set():
        try:
            _warn_of_unreachable(client, log)
            missing = {kafka.topic, kafka.dead_letter_topic} - topics.partition_counts(client).keys()
            warning = None if missing else topics.size_mismatch(kafka, client)
        except TryAgain:
            stop.wait(_LOOK_AGAIN_SECONDS)
            continue
        except MigrationError as error:
            warning, missing = str(error), set()
        for name in sorted(missing):
            log.error("a topic is missing: `orders migrate` creates it", topic=name)
        if warning:
            log.warning("the dead-letter topic is not as it should be", problem=warning)
        return


def _warn_of_unreachable(client: DiagnosticAdminClient, log: FilteringBoundLogger) -> None:
    """Name the brokers whose advertised address does not work from here: partitions that they lead stand still."""
    try:
        brokers = client.check_advertised(_ADVERTISED_SECONDS)
    except KafkaException:
        return  # it is asked for its topics next, which says what is wrong
    for broker in brokers:
        if broker.problem:
            log.error(
                "a broker advertises an address that can't be reached",
                broker=broker.broker, address=broker.address, problem=broker.problem,
            )  # fmt: skip


def _consumer_health(consumer: OrderConsumer, settings: Settings) -> Health:
    """Return when a consumer is well: while its loop turns, with or without Kafka, PostgreSQL or a partition."""
    has_started = {"loop has turned": lambda: consumer.has_started}
    turns = {"loop turns": lambda: consumer.seconds_since_poll < settings.admin.liveness_timeout}
    return Health(live=turns, ready=has_started, started=has_started)


def _decoder(settings: Settings, metrics: Metrics) -> Decoder:
    rules = Rules(
        max_bytes=settings.document.max_message_bytes,
        max_nesting=settings.document.max_nesting,
        max_future=timedelta(seconds=settings.document.max_future),
        amounts=settings.document.amount_mismatch,
    )
    return Decoder(
        rules,
        on_unknown=metrics.unknown_fields.inc,
        on_mismatch=lambda path: metrics.amount_mismatches.labels(path).inc(),
        now=lambda: datetime.now(UTC),
    )


def _breaker(settings: Settings) -> CircuitBreaker:
    circuit_breaker = settings.circuit_breaker
    return CircuitBreaker(
        CircuitBreakerPolicy(
            circuit_breaker.enabled,
            circuit_breaker.ratio,
            circuit_breaker.window,
            circuit_breaker.max_consecutive,
            circuit_breaker.min_rejected,
        )
    )


def _backoff(settings: Settings) -> Backoff:
    return Backoff(settings.retry.initial_backoff, settings.retry.max_backoff, settings.retry.give_up_after)


def _consumer_settings(settings: Settings) -> ConsumerSettings:
    return ConsumerSettings(
        BatchLimits(settings.batch.max_messages, settings.batch.max_bytes, settings.batch.max_items),
        revoke_timeout=settings.rebalance.revoke_timeout,
        breaker_retry_after=settings.circuit_breaker.retry_after,
        breaker_probe_messages=settings.circuit_breaker.probe_messages,
    )


class RetryReport:
    """Implements usecases.ingest.RetryObserver. Of a database error it logs no more than the SQLSTATE."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log

    def on_retry(self, error: BaseException, attempts: int, wait_seconds: float) -> None:
        wait = round(wait_seconds, 2)
        if isinstance(error, StorageError):
            self._metrics.retries.labels(_sqlstate_class(error)).inc()
            self._metrics.dependency_up.labels("postgresql").set(0)
            self._log.warning(error.problem, sqlstate=error.sqlstate, attempt=attempts, next_attempt_in_seconds=wait)
        else:
            self._metrics.dead_letter_retries.inc()
            self._log.error(str(error), attempt=attempts, next_attempt_in_seconds=wait)

    def on_recovery(self, error: BaseException) -> None:
        if isinstance(error, StorageError):
            self._metrics.retry_recoveries.labels(_sqlstate_class(error)).inc()
        else:
            self._metrics.dead_letter_recoveries.inc()

    def on_give_up(self, error: StorageUnavailable) -> None:
        self._metrics.retry_give_ups.labels(_sqlstate_class(error)).inc()


def _sqlstate_class(error: StorageError) -> str:
    return error.sqlstate[:2] or "none"
