"""Creates the parts of a consumer and connects them. Nothing is started here."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.breaker_control import BreakerControl
from service.handler.kafka.consumer.client_errors import ClientErrors
from service.handler.kafka.consumer.completion import BatchCompletion
from service.handler.kafka.consumer.fetch import FetchControl
from service.handler.kafka.consumer.lag import Lag
from service.handler.kafka.consumer.loop import OrderConsumer
from service.handler.kafka.consumer.offsets import OffsetCommitter
from service.handler.kafka.consumer.positions import Positions
from service.handler.kafka.consumer.progress import Progress
from service.handler.kafka.consumer.rebalance import Rebalance
from service.handler.kafka.consumer.receive import Receiver
from service.handler.kafka.consumer.resets import OffsetResets
from service.handler.kafka.consumer.settings import ConsumerSettings
from service.handler.kafka.consumer.shutdown import Shutdown
from service.handler.kafka.consumer.state import ConsumerStateMachine
from service.handler.kafka.consumer.topic_check import TopicCheck
from service.handler.kafka.consumer.topic_identity import TopicIdentity
from service.handler.kafka.consumer.worker import BatchWorker
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ingest import Ingest

if TYPE_CHECKING:
    from service.metrics import Metrics


_PROPERTIES: Final = {"auto.offset.reset": "error"}
"""OffsetResets resets offsets, and logs and counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The Kafka clients of a consumer. `connect` creates the group's member with the given properties."""

    connect: Callable[[dict[str, Any]], Consumer]
    admin: AdminClient


def build_consumer(
    group: ConsumerGroup,
    clients: Clients,
    *,
    builder: BatchBuilder,
    ingest: Ingest,
    settings: ConsumerSettings,
    metrics: "Metrics",
    log: FilteringBoundLogger,
    stop: ShutdownEvent,
) -> OrderConsumer:
    """Return a consumer whose loop `run` starts."""
    topic, worker = group.topic, BatchWorker(ingest)
    progress = Progress(builder, worker)
    offsets = OffsetCommitter(group, progress, metrics, log)
    errors = ClientErrors(topic, log)
    statistics: deque[str] = deque(maxlen=1)
    callbacks = {"on_commit": offsets.on_commit, "stats_cb": statistics.append, "error_cb": errors.on_error}
    client = clients.connect(group.properties | _PROPERTIES | callbacks)
    fetch = FetchControl(client, metrics.consumption, log)
    state = ConsumerStateMachine(fetch)
    breaker = BreakerControl(settings, metrics.consumption, log)
    topic_check = TopicCheck(client, topic, TopicIdentity(client, clients.admin, group, log), metrics.consumption, log)
    lag = Lag(client, topic, progress, metrics.partitions)
    positions = Positions(
        client=client,
        topic=topic,
        progress=progress,
        breaker=breaker,
        fetch=fetch,
        topic_check=topic_check,
        resets=OffsetResets(client, topic, progress, metrics.consumption, log),
        lag=lag,
    )
    receiver = Receiver(
        client=client,
        topic=topic,
        statistics=statistics,
        builder=builder,
        progress=progress,
        positions=positions,
        breaker=breaker,
        topic_check=topic_check,
        lag=lag,
        state=state,
        errors=errors,
        metrics=metrics,
    )
    completion = BatchCompletion(
        builder=builder, progress=progress, breaker=breaker, state=state, metrics=metrics, log=log
    )
    rebalance = Rebalance(
        client=client,
        topic=topic,
        statistics=statistics,
        builder=builder,
        worker=worker,
        completion=completion,
        progress=progress,
        positions=positions,
        topic_check=topic_check,
        fetch=fetch,
        offsets=offsets,
        is_waiting_to_retry=ingest.is_waiting_to_retry,
        revoke_timeout=settings.revoke_timeout,
        metrics=metrics.consumption,
        log=log,
    )
    shutdown = Shutdown(
        client=client, worker=worker, completion=completion, progress=progress, offsets=offsets, log=log
    )
    return OrderConsumer(
        client=client,
        group=group,
        state=state,
        receiver=receiver,
        builder=builder,
        worker=worker,
        completion=completion,
        progress=progress,
        positions=positions,
        offsets=offsets,
        breaker=breaker,
        fetch=fetch,
        lag=lag,
        errors=errors,
        rebalance=rebalance,
        shutdown=shutdown,
        stop=stop,
    )
