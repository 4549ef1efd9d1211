"""Creates the parts of the consumer's loop and connects them; `command.py` starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.breaker.breaker_control import BreakerControl
from service.handler.kafka.consumer.client_failure import ClientFailure
from service.handler.kafka.consumer.decoding.batch_builder import BatchBuilder
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.partitions.assignment import Assignment
from service.handler.kafka.consumer.partitions.lag import Lag
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.partition_ends import PartitionEnds
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.rebalance import Rebalance
from service.handler.kafka.consumer.partitions.resets import OffsetResets
from service.handler.kafka.consumer.partitions.statistics import LatestStatistics
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.poll_cycle import PollCycle
from service.handler.kafka.consumer.reader import Reader
from service.handler.kafka.consumer.receiver import Receiver
from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.handler.kafka.consumer.reports.stalled_partitions import StalledPartitions
from service.handler.kafka.consumer.settings import ConsumerSettings
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.state import ConsumerStateMachine
from service.handler.kafka.consumer.topic.check import TopicCheck
from service.handler.kafka.consumer.topic.identity import TopicIdentity
from service.handler.kafka.consumer.topic.lookup import TopicLookup
from service.handler.kafka.consumer.worker import BatchWorker
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ingest import Ingest

_PROPERTIES: Final = {"auto.offset.reset": "error"}
"""OffsetResets resets offsets, and logs and counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDependencies:
    """What the loop uses. `connect` creates the group's member with the given properties added."""

    group: ConsumerGroup
    connect: Callable[[dict[str, Any]], Consumer]
    admin: AdminClient
    builder: BatchBuilder
    ingest: Ingest
    settings: ConsumerSettings
    metrics: ConsumerMetrics
    log: FilteringBoundLogger
    stop: ShutdownEvent


def build_consumer(given: LoopDependencies) -> OrderConsumer:
    """Return a consumer whose loop `run` starts."""
    topic, metrics, log = given.group.topic, given.metrics, given.log
    progress, failure, statistics = Progress(), ClientFailure(log), LatestStatistics()
    errors = ClientErrors(topic, failure, log)
    offsets = OffsetCommitter(given.group, progress, metrics, log)
    callbacks = {"on_commit": offsets.on_commit, "stats_cb": statistics.put, "error_cb": errors.on_error}
    client = given.connect(_PROPERTIES | callbacks)
    fetch = FetchControl(client, metrics.consumption, log)
    state = ConsumerStateMachine(fetch)
    worker = BatchWorker(given.ingest, given.ingest.is_waiting_to_retry)
    breaker = BreakerControl(given.settings, metrics.consumption, log)
    report = OutcomeReport(metrics, log)
    pipeline = BatchPipeline(given.builder, worker, progress, breaker, state, report, given.stop)
    topic_check = _topic_check(given, client)
    resets = OffsetResets(client, topic, progress, metrics.consumption, log)
    lag = Lag(PartitionEnds(client, topic), progress, metrics.partitions)
    assignment = Assignment(client, topic, progress, pipeline, topic_check, resets, fetch, lag)
    receiver = Receiver(client, pipeline, assignment, topic_check, errors, StalledPartitions(log), statistics, metrics)
    reader = Reader(receiver, pipeline, worker, breaker, state, assignment)
    cycle = PollCycle(client, given.group, pipeline, reader, assignment, offsets)
    rebalance = Rebalance(
        assignment,
        pipeline,
        offsets,
        statistics,
        metrics.consumption,
        log,
        revoke_timeout=given.settings.revoke_timeout,
    )
    shutdown = Shutdown(client, pipeline, progress, offsets, log)
    return OrderConsumer(cycle, worker, rebalance, shutdown, failure, given.stop)


def _topic_check(given: LoopDependencies, client: Consumer) -> TopicCheck:
    topic, log = given.group.topic, given.log
    lookup, timeout = TopicLookup(given.admin, topic), given.settings.topic_id_timeout
    identity = TopicIdentity(lookup, given.group, log, timeout=timeout)
    return TopicCheck(client, topic, identity, given.metrics.consumption, log)
