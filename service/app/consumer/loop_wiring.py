"""Creates the parts of the consumer's loop and connects them; `command.py` starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.settings import BreakerSettings
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.partitions.lag import Lag
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.partition_ends import PartitionEnds
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.resets import OffsetResets
from service.handler.kafka.consumer.partitions.statistics import LatestStatistics
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.reader import Reader
from service.handler.kafka.consumer.rebalance import Rebalance
from service.handler.kafka.consumer.receiver import Receiver
from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from service.handler.kafka.consumer.reports.client_failure import ClientFailure
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.handler.kafka.consumer.reports.stalled_partitions import StalledPartitions
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup
from service.handler.kafka.consumer.topic.identity import TopicIdentity
from service.handler.kafka.consumer.topic.position_check import PositionCheck
from service.handler.kafka.consumer.worker import BatchWorker
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ingest import Ingest

_PROPERTIES: Final = {"auto.offset.reset": "error"}
"""OffsetResets resets offsets, and logs and counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDependencies:
    """The loop's collaborators. `connect` creates the group's member, with these properties added to its own."""

    group: ConsumerGroup
    connect: Callable[[dict[str, Any]], Consumer]
    admin: AdminClient
    builder: BatchBuilder
    ingest: Ingest
    breaker: BreakerSettings
    revoke_timeout: float
    """Seconds."""
    topic_id_timeout: float
    """Seconds."""
    metrics: ConsumerMetrics
    log: FilteringBoundLogger
    stop: ShutdownEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClientConnection:
    """The group's member, and what its callbacks use."""

    client: Consumer
    progress: Progress
    offsets: OffsetCommitter
    statistics: LatestStatistics
    errors: ClientErrors
    failure: ClientFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class _BatchParts:
    """One batch is filled while the previous one is written."""

    fetch: FetchControl
    state: ConsumerStateMachine
    breaker: BreakerControl
    worker: BatchWorker
    pipeline: BatchPipeline


def build_consumer(dependencies: LoopDependencies) -> OrderConsumer:
    """Return a consumer whose `run` starts its loop. The parts are created in the order of the messages' path."""
    connection = _connection(dependencies)
    batches = _batches(dependencies, connection)
    position_check = _position_check(dependencies, connection.client)
    assignment = _assignment(dependencies, connection, batches, position_check)
    receiver = _receiver(dependencies, connection, batches.pipeline, assignment, position_check)
    return OrderConsumer(
        client=connection.client,
        group=dependencies.group,
        pipeline=batches.pipeline,
        reader=_reader(receiver, batches, assignment),
        assignment=assignment,
        offsets=connection.offsets,
        rebalance=_rebalance(dependencies, connection, batches.pipeline, assignment),
        shutdown=_shutdown(dependencies, connection, batches.pipeline),
        failure=connection.failure,
        stop=dependencies.stop,
    )


def _connection(dependencies: LoopDependencies) -> _ClientConnection:
    """Create the client, which calls these parts back in its polls."""
    log, topic = dependencies.log, dependencies.group.topic
    progress, statistics, failure = Progress(), LatestStatistics(), ClientFailure(log)
    offsets = OffsetCommitter(group=dependencies.group, progress=progress, metrics=dependencies.metrics, log=log)
    errors = ClientErrors(topic, failure, log)
    callbacks = {"on_commit": offsets.on_commit, "stats_cb": statistics.put, "error_cb": errors.on_error}
    return _ClientConnection(
        client=dependencies.connect(_PROPERTIES | callbacks),
        progress=progress,
        offsets=offsets,
        statistics=statistics,
        errors=errors,
        failure=failure,
    )


def _batches(dependencies: LoopDependencies, connection: _ClientConnection) -> _BatchParts:
    metrics, log = dependencies.metrics, dependencies.log
    fetch = FetchControl(connection.client, metrics.consumption, log)
    state = ConsumerStateMachine(fetch)
    breaker = BreakerControl(settings=dependencies.breaker, state=state, metrics=metrics.consumption, log=log)
    worker = BatchWorker(dependencies.ingest, dependencies.ingest.is_waiting_to_retry)
    pipeline = BatchPipeline(
        builder=dependencies.builder,
        worker=worker,
        progress=connection.progress,
        breaker=breaker,
        state=state,
        report=OutcomeReport(metrics, log),
        stop=dependencies.stop,
    )
    return _BatchParts(fetch=fetch, state=state, breaker=breaker, worker=worker, pipeline=pipeline)


def _position_check(dependencies: LoopDependencies, client: Consumer) -> PositionCheck:
    """Create the part that withholds a partition's messages until its position is verified."""
    topic, log = dependencies.group.topic, dependencies.log
    lookup, timeout = TopicIdLookup(dependencies.admin, topic), dependencies.topic_id_timeout
    identity = TopicIdentity(lookup, dependencies.group, log, timeout=timeout)
    return PositionCheck(
        client=client, topic=topic, identity=identity, metrics=dependencies.metrics.consumption, log=log
    )


def _assignment(
    dependencies: LoopDependencies, connection: _ClientConnection, batches: _BatchParts, position_check: PositionCheck
) -> Assignment:
    client, topic, progress = connection.client, dependencies.group.topic, connection.progress
    metrics, log = dependencies.metrics, dependencies.log
    return Assignment(
        client=client,
        topic=topic,
        progress=progress,
        pipeline=batches.pipeline,
        position_check=position_check,
        resets=OffsetResets(client=client, topic=topic, progress=progress, metrics=metrics.consumption, log=log),
        fetch=batches.fetch,
        lag=Lag(PartitionEnds(client, topic), progress, metrics.partitions),
    )


def _receiver(
    dependencies: LoopDependencies,
    connection: _ClientConnection,
    pipeline: BatchPipeline,
    assignment: Assignment,
    position_check: PositionCheck,
) -> Receiver:
    return Receiver(
        client=connection.client,
        pipeline=pipeline,
        assignment=assignment,
        position_check=position_check,
        errors=connection.errors,
        stalled=StalledPartitions(dependencies.log),
        statistics=connection.statistics,
        metrics=dependencies.metrics,
    )


def _reader(receiver: Receiver, batches: _BatchParts, assignment: Assignment) -> Reader:
    return Reader(
        receiver=receiver,
        pipeline=batches.pipeline,
        worker=batches.worker,
        breaker=batches.breaker,
        state=batches.state,
        assignment=assignment,
    )


def _rebalance(
    dependencies: LoopDependencies, connection: _ClientConnection, pipeline: BatchPipeline, assignment: Assignment
) -> Rebalance:
    return Rebalance(
        client=connection.client,
        topic=dependencies.group.topic,
        assignment=assignment,
        pipeline=pipeline,
        offsets=connection.offsets,
        statistics=connection.statistics,
        metrics=dependencies.metrics.consumption,
        log=dependencies.log,
        revoke_timeout=dependencies.revoke_timeout,
    )


def _shutdown(dependencies: LoopDependencies, connection: _ClientConnection, pipeline: BatchPipeline) -> Shutdown:
    return Shutdown(
        client=connection.client,
        pipeline=pipeline,
        progress=connection.progress,
        offsets=connection.offsets,
        log=dependencies.log,
    )
