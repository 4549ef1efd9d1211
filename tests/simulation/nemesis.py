"""Injects the faults of a plan, and records in which stage of which member each one struck."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaError

from tests.simulation.broker import Broker, Fate, Loss, Request
from tests.simulation.checker import Checker
from tests.simulation.database import Database, Failure
from tests.simulation.member import DEAD_LETTER_TOPIC, TOPIC, Member
from tests.simulation.operation import Operation
from tests.simulation.order_producer import OrderProducer
from tests.simulation.partition_log import Entry
from tests.simulation.plan import Fault, FaultKind, Stage
from tests.simulation.scheduler import START_SECONDS

WAIT_FOR_STAGE_SECONDS: Final = 10.0
RESTART_SECONDS: Final = 1.0
TRANSACTION_REQUESTS: Final = (
    Request.INIT_TRANSACTIONS, Request.SEND_OFFSETS, Request.COMMIT_TRANSACTION, Request.ABORT_TRANSACTION,
)  # fmt: skip
COMMIT_ERRORS: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR, KafkaError.REBALANCE_IN_PROGRESS,
)  # fmt: skip

Pair = tuple[FaultKind, Stage]

_DELAYS_SECONDS: Final = {
    FaultKind.DEAD_LETTER_HANGS: 20.0,
    FaultKind.DEAD_LETTER_ANSWER_LOST: 20.0,
    FaultKind.POSTGRES_TIMEOUT: 15.0,
    FaultKind.TRANSACTION_SLOW: 20.0,
}


def delay_seconds(fault: Fault) -> float:
    """Return for how long a fault can delay a batch after it has struck."""
    return _DELAYS_SECONDS.get(fault.kind, 0.0)


class Nemesis:
    def __init__(
        self,
        *,
        faults: Sequence[Fault],
        members: list[Member],
        operations: Sequence[Operation],
        broker: Broker,
        database: Database,
        checker: Checker,
        producer: OrderProducer,
        start_member: Callable[[], None],
    ) -> None:
        self._waiting = [*faults]
        self._members = members
        self._operations = operations
        self._broker = broker
        self._database = database
        self._checker = checker
        self._timeline = broker.timeline
        self._scheduler = broker.scheduler
        self._producer = producer
        self._start_member = start_member
        self._random = broker.random
        self.pairs: set[Pair] = set()
        self.ends_at = START_SECONDS
        """When the last fault has ended."""

    @property
    def is_done(self) -> bool:
        return not self._waiting and self._scheduler.now >= self.ends_at

    def on_step(self) -> None:
        now = self._scheduler.now - START_SECONDS
        due = [fault for fault in self._waiting if fault.at <= now]
        if not due:
            return
        stages = {member.stage for member in self._members if member.is_running}
        stages |= {each.stage for each in self._operations if each.stage is not None}
        for fault in due:
            if fault.stage is None or fault.stage in stages or now > fault.at + WAIT_FOR_STAGE_SECONDS:
                self._waiting.remove(fault)
                self._strike(fault, stages)

    def _strike(self, fault: Fault, stages: set[Stage]) -> None:
        self._timeline.add(f"FAULT: {fault}")
        self.pairs |= {(fault.kind, stage) for stage in stages or {Stage.DOWN}}
        self.ends_at = max(self.ends_at, self._scheduler.now + fault.seconds)
        self._actions[fault.kind](fault)

    @property
    def _actions(self) -> Mapping[FaultKind, Callable[[Fault], None]]:
        request, answer = Fate(loss=Loss.REQUEST), Fate(loss=Loss.ANSWER)
        return {
            FaultKind.KAFKA_DOWN: lambda fault: self._broker.stop(fault.seconds),
            FaultKind.COMMIT_REQUEST_LOST: self._fate(request, Request.COMMIT),
            FaultKind.COMMIT_ANSWER_LOST: self._fate(answer, Request.COMMIT),
            FaultKind.COMMIT_REJECTED: self._rejecting(COMMIT_ERRORS, Request.COMMIT),
            FaultKind.COMMIT_SLOW: self._slow(Request.COMMIT),
            FaultKind.QUERY_LOST: self._fate(request, Request.COMMITTED, Request.WATERMARKS),
            FaultKind.LOOKUP_LOST: self._fate(request, Request.DESCRIBE),
            FaultKind.MEMBER_SUSPENDED: self._suspend,
            FaultKind.MEMBER_KILLED: self._kill,
            FaultKind.MEMBER_STOPPED: self._stop,
            FaultKind.MEMBER_JOINS: lambda _: self._start_member(),
            FaultKind.MEMBER_FENCED: self._fence,
            FaultKind.TOPIC_RECREATED: self._recreate_topic,
            FaultKind.RECORDS_DELETED: self._delete_records,
            FaultKind.TRANSACTION_STAYS_OPEN: self._open_transaction,
            FaultKind.DEAD_LETTER_REJECTED: self._rejecting((KafkaError.TOPIC_AUTHORIZATION_FAILED,), Request.PRODUCE),
            FaultKind.DEAD_LETTER_HANGS: self._fate(request, Request.PRODUCE),
            FaultKind.DEAD_LETTER_ANSWER_LOST: self._fate(answer, Request.PRODUCE),
            FaultKind.DEAD_LETTER_SLOW: self._slow(Request.PRODUCE),
            FaultKind.TRANSACTION_REQUEST_LOST: self._fate(request, *TRANSACTION_REQUESTS),
            FaultKind.TRANSACTION_ANSWER_LOST: self._fate(answer, *TRANSACTION_REQUESTS),
            FaultKind.TRANSACTION_REJECTED: self._rejecting(COMMIT_ERRORS[:2], *TRANSACTION_REQUESTS),
            FaultKind.TRANSACTION_SLOW: self._slow(*TRANSACTION_REQUESTS),
            FaultKind.POSTGRES_DOWN: lambda fault: self._database.stop(fault.seconds),
            FaultKind.POSTGRES_ANSWER_LOST: self._failing(Failure.ANSWER_LOST),
            FaultKind.POSTGRES_CONNECTION_LOST: self._failing(Failure.CONNECTION_LOST),
            FaultKind.POSTGRES_SERIALIZATION: self._failing(Failure.SERIALIZATION),
            FaultKind.POSTGRES_TIMEOUT: self._failing(Failure.TIMEOUT),
            FaultKind.POSTGRES_SLOW: self._failing(Failure.SLOW),
            FaultKind.POSTGRES_REJECTS_ALL: self._reject_all,
            FaultKind.COMMAND_KILLED: self._on_operation(Operation.kill),
            FaultKind.COMMAND_STOPPED: self._on_operation(Operation.stop),
            FaultKind.DEAD_LETTERS_DELETED: self._delete_dead_letters,
            FaultKind.DEAD_LETTER_TOPIC_RECREATED: self._recreate_dead_letter_topic,
        }

    def _fate(self, fate: Fate, *requests: Request) -> Callable[[Fault], None]:
        return lambda fault: self._broker.fates[requests[fault.target % len(requests)]].append(fate)

    def _slow(self, *requests: Request) -> Callable[[Fault], None]:
        return lambda fault: self._fate(Fate(seconds=fault.seconds), *requests)(fault)

    def _rejecting(self, errors: Sequence[int], *requests: Request) -> Callable[[Fault], None]:
        return lambda fault: self._fate(Fate(error=errors[fault.target // 10 % len(errors)]), *requests)(fault)

    def _failing(self, failure: Failure) -> Callable[[Fault], None]:
        return lambda _: self._database.failures.append(failure)

    def _running(self, fault: Fault) -> Member | None:
        """Prefer a member that is in the fault's stage."""
        running = [each for each in self._members if each.is_running]
        meant = [each for each in running if each.stage is fault.stage] or running
        return meant[fault.target % len(meant)] if meant else None

    def _suspend(self, fault: Fault) -> None:
        if member := self._running(fault):
            self._scheduler.suspend(member.process, fault.seconds)

    def _kill(self, fault: Fault) -> None:
        if member := self._running(fault):
            self._timeline.add(f"{member.process.name} is killed in stage {member.stage.value}")
            self._scheduler.kill(member.process)
            self.start_another()

    def _fence(self, fault: Fault) -> None:
        if member := self._running(fault):
            member.client.fence()

    def _stop(self, fault: Fault) -> None:
        if member := self._running(fault):
            member.stop.set()
            self.start_another()

    def start_another(self) -> None:
        """Start a member soon, in place of one that has ended."""
        self.ends_at = max(self.ends_at, self._scheduler.now + RESTART_SECONDS)
        self._scheduler.call_later(self._random.random() * RESTART_SECONDS, self._start_member)

    def _on_operation(self, act: Callable[[Operation], None]) -> Callable[[Fault], None]:
        """Prefer a command that is in the fault's stage."""

        def strike(fault: Fault) -> None:
            running = [each for each in self._operations if each.stage is not None]
            meant = [each for each in running if each.stage is fault.stage] or running
            if meant:
                act(meant[fault.target % len(meant)])

        return strike

    def _recreate_topic(self, fault: Fault) -> None:
        topic = self._broker.topics.get(TOPIC)
        if topic is None:
            return
        offsets = dict(self._broker.coordinator.offsets)
        self._checker.on_deleted(entry for log in topic.logs for entry in log.entries)
        self._broker.delete_topic(TOPIC)
        if fault.target % 2:  # the offsets are deleted later than the topic is created
            self._broker.coordinator.offsets = offsets
        self._create_later(fault, partial(self._broker.create_topic, TOPIC, len(topic.logs)))

    def _recreate_dead_letter_topic(self, fault: Fault) -> None:
        """Do it as soon as no transaction has dead letters there: Kafka would wait for its end, too."""
        topic = self._broker.topics.get(DEAD_LETTER_TOPIC)
        if topic is None:
            return
        if any(log.last_stable < log.end for log in topic.logs):
            self._scheduler.call_later(0.5, lambda: self._recreate_dead_letter_topic(fault))
            return
        self._checker.dead_letters.on_deleted(entry for log in topic.logs for entry in log.entries)
        self._broker.delete_topic(DEAD_LETTER_TOPIC)
        create = partial(self._broker.create_topic, DEAD_LETTER_TOPIC, len(topic.logs), topic.max_message_bytes)
        self._create_later(fault, create)

    def _create_later(self, fault: Fault, create: Callable[[], None]) -> None:
        self._scheduler.call_later(min(fault.seconds, 3) if fault.target % 3 else 0, create)

    def _delete_records(self, fault: Fault) -> None:
        self._delete(TOPIC, fault, self._checker.on_deleted)

    def _delete_dead_letters(self, fault: Fault) -> None:
        self._delete(DEAD_LETTER_TOPIC, fault, self._checker.dead_letters.on_deleted)

    def _delete(self, topic: str, fault: Fault, on_deleted: Callable[[Iterable[Entry]], None]) -> None:
        for key in self._broker.keys(topic):
            log = self._broker.log(key)
            if log is not None and key[1] % 2 == fault.target % 2:
                before = [*log.entries]
                log.delete_before(log.start + len(log.entries) * fault.target // 100)
                on_deleted(each for each in before if each.offset < log.start)

    def _open_transaction(self, fault: Fault) -> None:
        self._producer.open_transaction(fault.target, fault.seconds, commit=bool(fault.target % 2))

    def _reject_all(self, fault: Fault) -> None:
        self._checker.on_rejecting()
        self._database.reject_all(fault.seconds)
