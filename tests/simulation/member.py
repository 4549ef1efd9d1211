"""A consumer process: the product's loop, threads and use cases, with simulated clients and a simulated store."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry

from service.app.consumer.loop_wiring import GroupClients, LoopWiring
from service.config.settings import BatchSettings, KafkaSettings, Settings
from service.entities.dead_letter import DeadLetter, Reason
from service.errors import CommandFailed
from service.handler.kafka.client import properties
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import offsets_to_commit
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.state import ConsumerState
from service.handler.kafka.consumer.formats.message_decoder import MessageDecoder
from service.handler.kafka.consumer.reports.retry_report import RetryReport
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.metrics import ConsumerMetrics
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import CircuitBreaker
from service.usecases.ingest import Ingest, Write
from service.usecases.outcome import Outcome
from service.usecases.ports.ingest import CommittableBatch
from tests.kit.decoding import message_decoder
from tests.kit.policies import circuit_breaker_policy, retry_backoff
from tests.simulation.admin import SimulatedAdmin
from tests.simulation.broker import Broker
from tests.simulation.client import SimulatedConsumer
from tests.simulation.database import Database, SimulatedStore
from tests.simulation.plan import MAX_CONSECUTIVE, MIN_REJECTED, PROBE_MESSAGES, RETRY_AFTER_SECONDS, Plan, Stage
from tests.simulation.positions import MAX_PREFETCHED
from tests.simulation.scheduler import Process
from tests.simulation.threads import SimulatedShutdownEvent
from tests.simulation.timeline import Timeline, TimelineLog
from tests.simulation.violation import Violation
from tests.simulation.workload import MAX_MESSAGE_BYTES

TOPIC: Final = "orders"
DEAD_LETTER_TOPIC: Final = "orders.dlq"
KAFKA: Final = KafkaSettings(topic=TOPIC, dead_letter_topic=DEAD_LETTER_TOPIC)
MAX_POLL_SECONDS: Final = 20.0
"""Instead of five minutes, so that an outage can be longer."""
MAX_BATCH_BYTES: Final = 2**14
_BREAKER: Final = circuit_breaker_policy(
    max_consecutive=MAX_CONSECUTIVE,
    min_rejected=MIN_REJECTED,
    retry_after=RETRY_AFTER_SECONDS,
    probe_messages=PROBE_MESSAGES,
)
_STAGES: Final = {
    ConsumerState.BREAKER_OPEN: Stage.BREAKER_OPEN,
    ConsumerState.REREADING: Stage.BREAKER_OPEN,
    ConsumerState.PROBING: Stage.PROBING,
    ConsumerState.PROBE_WAITING_FOR_STORE: Stage.WAITING_FOR_STORE,
    ConsumerState.WAITING_FOR_STORE: Stage.WAITING_FOR_STORE,
}


@cache
def _metrics() -> ConsumerMetrics:
    """Return metrics that all members of all simulations share: creating them takes longer than a simulation."""
    return ConsumerMetrics(CollectorRegistry())


@cache
def decoder() -> MessageDecoder:
    return message_decoder()


@cache
def _settings(max_messages: int) -> Settings:
    return Settings(
        kafka=KAFKA,
        batch=BatchSettings(max_messages=max_messages, max_bytes=MAX_BATCH_BYTES),
        circuit_breaker=_BREAKER,
    )


class Member:
    """Calls `on_failed` when the process has ended with the only error that may end it, a fatal one of its client."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        broker: Broker,
        database: Database,
        timeline: Timeline,
        *,
        on_failed: Callable[[], None],
    ) -> None:
        self.process = Process(f"member {number}")
        self._on_failed = on_failed
        self._broker = broker
        self._plan = plan
        self._scheduler = broker.scheduler
        self._timeline = timeline
        self._log: Any = TimelineLog(timeline, self._scheduler.pause, self._on_log_event)
        self._clients: list[SimulatedConsumer] = []
        self.stop = SimulatedShutdownEvent(self._scheduler)
        self._database = database
        self.store = SimulatedStore(database)
        self.rejected_with_all = 0
        """Orders that became dead letters while PostgreSQL rejected all."""
        self.dead_letters = self._dead_letters()
        self.is_dead_lettering = False
        self.is_finished = False
        self.loop = self._wiring()
        self.consumer = self.loop.consumer

    def start(self) -> None:
        self._timeline.add(f"{self.process.name} starts")
        self._scheduler.spawn("reader", self.process, self._run)

    @property
    def client(self) -> SimulatedConsumer:
        return self._clients[0]

    @property
    def is_running(self) -> bool:
        return not (self.is_finished or self.process.is_killed)

    @property
    def is_breaker_open(self) -> bool:
        return self.consumer.pipeline.state.is_breaker_open

    @property
    def stage(self) -> Stage:
        """What the member is doing now."""
        if not self.is_running or self.process.suspended_until > self._scheduler.now:
            return Stage.DOWN
        if self.stop.is_set():
            return Stage.DRAINING
        return self._groups_stage() or _STAGES.get(self.consumer.pipeline.state.current) or self._batchs_stage()

    def _groups_stage(self) -> Stage | None:
        if self.client.is_in_callback:
            return Stage.REBALANCING
        if not self.client.owned:
            return Stage.JOINING
        return Stage.VERIFYING if self.consumer.assignment.position_check.unverified else None

    def _batchs_stage(self) -> Stage:
        pipeline = self.consumer.pipeline
        if not pipeline.worker.is_free:
            return self._writers_stage()
        return Stage.COMMITTING if pipeline.progress.uncommitted else Stage.IDLE

    def _writers_stage(self) -> Stage:
        if self.loop.ingest.is_waiting_to_retry.is_set():
            return Stage.RETRYING
        if self.store.is_storing:
            return Stage.STORING
        return Stage.DEAD_LETTERING if self.is_dead_lettering else Stage.DONE

    def _on_log_event(self, event: str, fields: dict[str, Any]) -> None:
        if event == "drained" and fields["committed"]:
            self._verify_committed()

    def _verify_committed(self) -> None:
        """Verify that Kafka has acknowledged the offsets of what this member has processed, as its log says.

        The topic may have been deleted since then, together with its offsets.
        """
        partitions = self.consumer.pipeline.progress.partitions
        processed = {key: each.offset for key, each in partitions.items() if each.is_ours and each.offset}
        for commit in offsets_to_commit(processed, self._group.topic_ids, {}):
            if not self._broker.coordinator.has_acknowledged(commit):
                raise Violation(
                    f"the log says that {commit.topic} {commit.partition} was committed up to {commit.offset}"
                )

    def _run(self) -> None:
        try:
            self.consumer.run()
        except Exception as error:
            self._timeline.add(f"the process ends: {error!r}")
            if isinstance(error, Violation):
                raise
            if not (isinstance(error, CommandFailed) and self.client.is_fenced):
                raise Violation(f"{self.process.name} ended with {error!r}") from error
            self._on_failed()
        finally:
            self.dead_letters.close()
            self.is_finished = True

    def _wiring(self) -> LoopWiring:
        metrics = _metrics()
        return LoopWiring(
            clients=GroupClients(group=self._group, connect=cast("Any", self._connect), admin=self._admin),
            builder=BatchBuilder(decoder(), self.store.prepare, metrics),
            ingest=Ingest(
                store=self.store,
                dead_letters=self,
                breaker=CircuitBreaker(_BREAKER),
                backoff=retry_backoff(),
                stop=self.stop,
                observer=RetryReport(metrics, self._log),
                middleware=self._verify_writes,
            ),
            settings=_settings(self._plan.max_messages),
            metrics=metrics,
            log=self._log,
            stop=self.stop,
        )

    def send_and_commit(self, batch: CommittableBatch, dead_letters: Sequence[DeadLetter]) -> bool:
        """Implement ports.ingest.DeadLetters with the product's, and record that it runs."""
        self.is_dead_lettering = True
        try:
            return self.dead_letters.send_and_commit(batch, dead_letters)
        finally:
            self.is_dead_lettering = False

    def _verify_writes(self, write: Write) -> Write:
        """Verify that each batch is within its limits, except for what one poll adds, and count rejected orders."""
        max_messages = max(self._plan.max_messages, PROBE_MESSAGES)
        max_bytes = MAX_BATCH_BYTES + MAX_PREFETCHED * MAX_MESSAGE_BYTES

        def verified(batch: Batch) -> Outcome:
            if len(batch) > max_messages or batch.bytes > max_bytes:
                raise Violation(f"a batch has {len(batch)} messages of {batch.bytes:,} bytes")
            was_rejecting_all = self._database.is_rejecting_all
            outcome = write(batch)
            if was_rejecting_all and self._database.is_rejecting_all:
                self.rejected_with_all += [each.reason for each in outcome.dead_letters].count(Reason.REJECTED)
            return outcome

        return verified

    def _dead_letters(self) -> DeadLetterProducer | TransactionalDeadLetters:
        self._group = ConsumerGroup((TOPIC,), is_transactional=self._plan.exactly_once)
        self._admin: Any = SimulatedAdmin(self._broker)
        encoder = DeadLetterEncoder(KAFKA.group_id)
        if not self._plan.exactly_once:
            return DeadLetterProducer(partial(properties.producer, KAFKA), DEAD_LETTER_TOPIC, encoder, self.stop)
        client = partial(properties.transactional, KAFKA, f"transaction of {self.process.name}")
        checks = TransactionChecks(cast("Any", self._admin), lambda: cast("Any", self._consumer({})))
        return TransactionalDeadLetters(client, DEAD_LETTER_TOPIC, encoder, self._group, checks)

    def _connect(self, added: dict[str, Any]) -> SimulatedConsumer:
        self._clients.append(self._consumer(added))
        return self.client

    def _consumer(self, added: dict[str, Any]) -> SimulatedConsumer:
        polls = {"max.poll.interval.ms": round(MAX_POLL_SECONDS * 1_000)}
        return SimulatedConsumer(self._broker, self.process, properties.consumer(KAFKA) | polls | added)
