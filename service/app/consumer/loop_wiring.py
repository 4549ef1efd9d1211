"""Creates the parts of the consumer's loop and connects them; `command.py` starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.decoding.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.settings import ConsumerSettings
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
    settings: ConsumerSettings
    metrics: ConsumerMetrics
    log: FilteringBoundLogger
    stop: ShutdownEvent


def build_consumer(dependencies: LoopDependencies) -> OrderConsumer:
    """Return a consumer whose `run` starts its loop. The parts are created in the order of the messages' path."""
    group, topic, metrics, log = dependencies.group, dependencies.group.topic, dependencies.metrics, dependencies.log
    progress, statistics, failure = Progress(), LatestStatistics(), ClientFailure(log)

    # The client calls these back in its polls.
    errors = ClientErrors(topic, failure, log)
    offsets = OffsetCommitter(group=group, progress=progress, metrics=metrics, log=log)
    callbacks = {"on_commit": offsets.on_commit, "stats_cb": statistics.put, "error_cb": errors.on_error}
    client = dependencies.connect(_PROPERTIES | callbacks)

    # One batch is filled while the previous one is written.
    fetch = FetchControl(client, metrics.consumption, log)
    state = ConsumerStateMachine(fetch)
    breaker = BreakerControl(settings=dependencies.settings, state=state, metrics=metrics.consumption, log=log)
    worker = BatchWorker(dependencies.ingest, dependencies.ingest.is_waiting_to_retry)
    pipeline = BatchPipeline(
        builder=dependencies.builder,
        worker=worker,
        progress=progress,
        breaker=breaker,
        state=state,
        report=OutcomeReport(metrics, log),
        stop=dependencies.stop,
    )

    # Messages of a partition count once its position is verified.
    position_check = _position_check(dependencies, client)
    assignment = Assignment(
        client=client,
        topic=topic,
        progress=progress,
        pipeline=pipeline,
        position_check=position_check,
        resets=OffsetResets(client=client, topic=topic, progress=progress, metrics=metrics.consumption, log=log),
        fetch=fetch,
        lag=Lag(PartitionEnds(client, topic), progress, metrics.partitions),
    )
    rebalance = Rebalance(
        client=client,
        topic=topic,
        assignment=assignment,
        pipeline=pipeline,
        offsets=offsets,
        statistics=statistics,
        metrics=metrics.consumption,
        log=log,
        revoke_timeout=dependencies.settings.revoke_timeout,
    )

    # The loop receives messages, submits batches and commits offsets.
    receiver = Receiver(
        client=client,
        pipeline=pipeline,
        assignment=assignment,
        position_check=position_check,
        errors=errors,
        stalled=StalledPartitions(log),
        statistics=statistics,
        metrics=metrics,
    )
    reader = Reader(
        receiver=receiver, pipeline=pipeline, worker=worker, breaker=breaker, state=state, assignment=assignment
    )
    shutdown = Shutdown(client=client, pipeline=pipeline, progress=progress, offsets=offsets, log=log)
    return OrderConsumer(
        client=client,
        group=group,
        pipeline=pipeline,
        reader=reader,
        assignment=assignment,
        offsets=offsets,
        rebalance=rebalance,
        shutdown=shutdown,
        failure=failure,
        stop=dependencies.stop,
    )


def _position_check(dependencies: LoopDependencies, client: Consumer) -> PositionCheck:
    topic, log = dependencies.group.topic, dependencies.log
    lookup, timeout = TopicIdLookup(dependencies.admin, topic), dependencies.settings.topic_id_timeout
    identity = TopicIdentity(lookup, dependencies.group, log, timeout=timeout)
    return PositionCheck(
        client=client, topic=topic, identity=identity, metrics=dependencies.metrics.consumption, log=log
    )
