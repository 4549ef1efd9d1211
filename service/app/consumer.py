"""`orders consumer`: creates the consumer's parts, starts them in order, and stops them in reverse order."""

import argparse
import gc
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Final
from uuid import uuid4

import structlog
from confluent_kafka import KafkaException
from structlog.typing import FilteringBoundLogger
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from service.app import shared
from service.app.tracing import tracing
from service.config import KafkaSettings, Settings
from service.errors import MigrationError, Stopped, StorageError, StorageUnavailable, TryAgain
from service.handler.http.admin import AdminServer, admin_app
from service.handler.http.routes.probes import Health
from service.handler.kafka.client import properties, topics
from service.handler.kafka.client.connection_errors import DiagnosticAdminClient
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.decode import Decoder, Rules
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.settings import ConsumerSettings
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.metrics import Metrics
from service.pkg.retry import Backoff
from service.pkg.shutdown_event import ShutdownEvent, stop_at_signals
from service.repo.connection import require_utf8
from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from service.usecases.batch import BatchLimits
from service.usecases.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy
from service.usecases.ingest import BatchMiddleware, Ingest

_TOPIC_CHECK_INTERVAL_SECONDS: Final = 5.0
_METADATA_TIMEOUT_SECONDS: Final = 5.0
_GC_THRESHOLD: Final = 200_000
"""Net allocations that start a garbage collection of generation 0. Two batches allocate fewer."""
_SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long the reading thread may hold the GIL while the writing thread waits; 5 ms by default."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Read, store and dead-letter until SIGTERM or SIGINT; return the exit code.

    Raises PortUnavailable or InvalidSettings.
    """
    with tracing(**shared.build_info("consumer")) as middleware:
        _run_until_stopped(settings, middleware)
    return 0


def _run_until_stopped(settings: Settings, middleware: BatchMiddleware) -> None:
    stop = stop_at_signals()
    # Now, because the dead-letter producer is created only for the first dead letter.
    properties.verify(settings.kafka)
    log = structlog.get_logger("orders.consumer")
    metrics = shared.new_metrics("consumer")
    transactions = Transactions(
        shared.connection_settings(settings.postgres, shared.CONSUMER_APPLICATION_NAME), require_utf8
    )
    writer = PostgresOrderStore(transactions, settings.version.compare_by)
    group = ConsumerGroup(
        properties.consumer(settings.kafka), settings.kafka.topic, is_transactional=settings.dead_letters.exactly_once
    )
    dead_letters = _dead_letters(settings, stop, group)
    ingest = Ingest(
        writer,
        dead_letters,
        _circuit_breaker(settings),
        _backoff(settings),
        stop,
        RetryReport(metrics, log),
        middleware,
    )
    consumer = OrderConsumer(
        group,
        decoder=_decoder(settings, metrics),
        prepare=writer.prepare,
        ingest=ingest,
        settings=_consumer_settings(settings),
        metrics=metrics,
        log=log,
        stop=stop,
    )
    admin = AdminServer(
        admin_app(_consumer_health(consumer, settings), metrics.registry, shared.build_info("consumer"), log),
        settings.admin.host,
        settings.admin.port,
    )
    _tune_interpreter()
    admin.start()
    Thread(target=_check_topics, args=(settings.kafka, log, stop), name="topics", daemon=True).start()
    try:
        consumer.run()
    finally:
        admin.stop()
        dead_letters.close()
        writer.close()


def _tune_interpreter() -> None:
    """Collect garbage less often, and switch threads sooner.

    Batches contain no reference cycles, so collections would scan thousands of messages in vain. The writing thread
    needs the GIL briefly but often: after each response of PostgreSQL, which is idle until the next request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


def _dead_letters(
    settings: Settings, stop: ShutdownEvent, group: ConsumerGroup
) -> DeadLetterProducer | TransactionalDeadLetters:
    kafka, encoder = settings.kafka, DeadLetterEncoder(settings.kafka.group_id)
    if settings.dead_letters.exactly_once:
        client = properties.transactional(kafka, f"{kafka.group_id}-{uuid4()}")
        return TransactionalDeadLetters(client, kafka.dead_letter_topic, encoder, group)
    return DeadLetterProducer(properties.producer(kafka), kafka.dead_letter_topic, encoder, stop)


def _check_topics(kafka: KafkaSettings, log: FilteringBoundLogger, stop: ShutdownEvent) -> None:
    """Log at startup, not at the first dead letter, if a topic is missing or its size limit too small."""
    client = DiagnosticAdminClient(properties.common(kafka))
    retrying = Retrying(
        retry=retry_if_exception_type(TryAgain), wait=wait_fixed(_TOPIC_CHECK_INTERVAL_SECONDS), sleep=stop.sleep
    )
    with suppress(Stopped):
        retrying(_log_topic_problems, kafka, client, log)


def _log_topic_problems(kafka: KafkaSettings, client: DiagnosticAdminClient, log: FilteringBoundLogger) -> None:
    """Log each problem once. Raises TryAgain if no broker answers."""
    _log_unreachable_brokers(client, log)
    try:
        missing = {kafka.topic, kafka.dead_letter_topic} - topics.partition_counts(client).keys()
        problem = None if missing else topics.size_mismatch(kafka, client)
    except MigrationError as error:
        missing, problem = set(), str(error)
    for name in sorted(missing):
        log.error("topic is missing: run `orders migrate`", topic=name)
    if problem:
        log.warning("problem with the topics", problem=problem)


def _log_unreachable_brokers(client: DiagnosticAdminClient, log: FilteringBoundLogger) -> None:
    """Log the brokers with an unreachable advertised address: the partitions that they lead are not consumed."""
    try:
        brokers = client.check_advertised(_METADATA_TIMEOUT_SECONDS)
    except KafkaException:
        return  # the metadata request that follows reports the problem
    for broker in brokers:
        if broker.problem:
            log.error(
                "broker advertises an unreachable address",
                broker=broker.broker, address=broker.address, problem=broker.problem,
            )  # fmt: skip


def _consumer_health(consumer: OrderConsumer, settings: Settings) -> Health:
    """Live: the loop polls, even if Kafka and PostgreSQL are unreachable. Ready and started: it has polled once."""
    has_started = {"loop has polled": lambda: consumer.has_started}
    polls = {"loop polls": lambda: consumer.seconds_since_poll < settings.admin.liveness_timeout}
    return Health(live=polls, ready=has_started, started=has_started)


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


def _circuit_breaker(settings: Settings) -> CircuitBreaker:
    policy = settings.circuit_breaker
    return CircuitBreaker(
        CircuitBreakerPolicy(policy.enabled, policy.ratio, policy.window, policy.max_consecutive, policy.min_rejected)
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
