"""Creates the parts of the consumer's loop and connects them; `command.py` starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.assignment import Assignment
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.partitions.lag import Lag
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.partition_ends import PartitionEnds
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.partitions.resets import OffsetResets
from service.handler.kafka.consumer.partitions.statistics import LatestStatistics
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.poll_dispatcher import PollDispatcher
from service.handler.kafka.consumer.rebalance import Rebalance
from service.handler.kafka.consumer.reports.client_errors import ClientErrors
from service.handler.kafka.consumer.reports.client_failure import ClientFailure
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.handler.kafka.consumer.reports.stalled_partitions import StalledPartitions
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.state_actions import PAUSE_AFTER_SECONDS, StateActions
from service.handler.kafka.consumer.topic.id_lookup import TopicIdLookup
from service.handler.kafka.consumer.topic.identity import TopicIdentities, TopicIdentity
from service.handler.kafka.consumer.topic.position_check import PositionCheck
from service.handler.kafka.consumer.worker import BatchWorker
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import BatchLimits
from service.usecases.ingest import Ingest

_PROPERTIES: Final = {"auto.offset.reset": "error"}
"""OffsetResets resets offsets, and logs and counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupClients:
    """The consumer group and its clients. `connect` creates its member, with these properties added to its own."""

    group: ConsumerGroup
    connect: Callable[[dict[str, Any]], Consumer]
    admin: AdminClient


@dataclass(frozen=True, kw_only=True)
class LoopWiring:
    """Creates each part when another one first needs it. `consumer` is the whole; its `run` starts the loop."""

    clients: GroupClients
    builder: BatchBuilder
    ingest: Ingest
    settings: Settings
    metrics: ConsumerMetrics
    log: FilteringBoundLogger
    stop: ShutdownEvent
    pause_after: float = PAUSE_AFTER_SECONDS

    @cached_property
    def consumer(self) -> OrderConsumer:
        return OrderConsumer(
            client=self._client,
            group=self.clients.group,
            pipeline=self._pipeline,
            actions=self._actions,
            assignment=self._assignment,
            offsets=self._offsets,
            rebalance=self._rebalance,
            shutdown=self._shutdown,
            failure=self._failure,
            stop=self.stop,
        )

    @cached_property
    def _client(self) -> Consumer:
        """The group's member, which calls these parts back in its polls."""
        callbacks = {
            "on_commit": self._offsets.on_commit,
            "stats_cb": self._statistics.put,
            "error_cb": self._errors.on_error,
        }
        return self.clients.connect(_PROPERTIES | callbacks)

    @cached_property
    def _progress(self) -> Progress:
        return Progress()

    @cached_property
    def _offsets(self) -> OffsetCommitter:
        return OffsetCommitter(group=self.clients.group, progress=self._progress, metrics=self.metrics, log=self.log)

    @cached_property
    def _statistics(self) -> LatestStatistics:
        return LatestStatistics()

    @cached_property
    def _failure(self) -> ClientFailure:
        return ClientFailure(self.log)

    @cached_property
    def _errors(self) -> ClientErrors:
        return ClientErrors(self._failure, self.log)

    @cached_property
    def _fetch(self) -> FetchControl:
        return FetchControl(self._client, self.metrics.consumption, self.log)

    @cached_property
    def _state(self) -> ConsumerStateMachine:
        return ConsumerStateMachine(self._fetch)

    @cached_property
    def _breaker(self) -> BreakerControl:
        batch = self.settings.batch
        return BreakerControl(
            settings=self.settings.circuit_breaker,
            limits=BatchLimits(messages=batch.max_messages, bytes=batch.max_bytes, items=batch.max_items),
            state=self._state,
            metrics=self.metrics.consumption,
            log=self.log,
        )

    @cached_property
    def _worker(self) -> BatchWorker:
        return BatchWorker(self.ingest, self.ingest.is_waiting_to_retry)

    @cached_property
    def _pipeline(self) -> BatchPipeline:
        return BatchPipeline(
            builder=self.builder,
            worker=self._worker,
            progress=self._progress,
            breaker=self._breaker,
            state=self._state,
            report=OutcomeReport(self.metrics, self.log),
            stop=self.stop,
        )

    @cached_property
    def _position_check(self) -> PositionCheck:
        """The part that withholds a partition's messages until its position is verified."""
        group, timeout = self.clients.group, self.settings.kafka.topic_id_timeout
        return PositionCheck(
            client=self._client,
            identities=TopicIdentities(
                TopicIdLookup(self.clients.admin),
                lambda topic: TopicIdentity(topic, group, self.log, timeout=timeout),
                group.topics,
            ),
            metrics=self.metrics.consumption,
            log=self.log,
        )

    @cached_property
    def _assignment(self) -> Assignment:
        return Assignment(
            client=self._client,
            progress=self._progress,
            pipeline=self._pipeline,
            position_check=self._position_check,
            resets=OffsetResets(
                client=self._client,
                progress=self._progress,
                metrics=self.metrics.consumption,
                log=self.log,
            ),
            fetch=self._fetch,
            lag=Lag(PartitionEnds(self._client), self._progress, self.metrics.partitions),
        )

    @cached_property
    def _dispatcher(self) -> PollDispatcher:
        return PollDispatcher(
            client=self._client,
            pipeline=self._pipeline,
            assignment=self._assignment,
            position_check=self._position_check,
            errors=self._errors,
            stalled=StalledPartitions(self.log),
            statistics=self._statistics,
            metrics=self.metrics,
        )

    @cached_property
    def _actions(self) -> StateActions:
        return StateActions(
            dispatcher=self._dispatcher,
            pipeline=self._pipeline,
            worker=self._worker,
            breaker=self._breaker,
            state=self._state,
            assignment=self._assignment,
            pause_after=self.pause_after,
        )

    @cached_property
    def _rebalance(self) -> Rebalance:
        return Rebalance(
            client=self._client,
            subscription=self.clients.group.subscription,
            assignment=self._assignment,
            pipeline=self._pipeline,
            offsets=self._offsets,
            statistics=self._statistics,
            metrics=self.metrics.consumption,
            log=self.log,
            revoke_timeout=self.settings.rebalance.revoke_timeout,
        )

    @cached_property
    def _shutdown(self) -> Shutdown:
        return Shutdown(
            client=self._client,
            pipeline=self._pipeline,
            progress=self._progress,
            offsets=self._offsets,
            log=self.log,
        )
