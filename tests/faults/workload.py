"""A stream of orders, its consumers, and servers that a scenario breaks; at the end every message is accounted for."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import urlsplit

import msgspec
import psycopg
from confluent_kafka import IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from generator.actual import STORED_ORDERS, GroupProgress, ReadError, messages, open_consumer, progress, rows
from generator.expected import dead_letter_digest
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import Message, Plan, stream
from local.ports import HOST
from service.pkg.shutdown_event import ShutdownEvent
from tests.faults.checker import Checker, CheckResult, Row, Version
from tests.faults.table import Line, Recovery
from tests.kit.harness import metric
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import confluent_kafka

    from local.broker import Broker
    from local.postgres import Postgres
    from service.entities.dead_letter import Reason
    from tests.kit.processes import Service, Spawn
    from tests.kit.proxy import Proxy

    ExpectedReason = Callable[[confluent_kafka.Message], Reason | None]

RATE = 1_000.0
"""Messages per second: two members keep up with it on two cores."""
MIX = Plan(invalid=0.02, duplicates=0.05, stale=0.02, updates=0.05, tombstones=0.005, too_large=True)
INVALID = replace(MIX, invalid=0.2)
"""Dead letters in every batch."""
DELIVERY: Mapping[str, Mapping[str, str]] = {
    "at-least-once": {},
    "exactly-once": {"ORDERS_DEAD_LETTERS__EXACTLY_ONCE": "true"},
}
"""Settings of a member by delivery guarantee."""
STREAM_SECONDS = 90
"""Longer than any session lasts: the stream is stopped when it is no longer needed."""
PARTITIONS = 6
TOPIC_CONFIG = {"retention.ms": "-1", "max.message.bytes": str(10 * 2**20)}
ADMIN_SECONDS = 30.0
PROGRESS_TIMEOUT_SECONDS = 30.0
COMMAND_TIMEOUT_SECONDS = 60.0
SETTLE_SECONDS = 120.0
RATE_WINDOW_SECONDS = 0.5
"""Recovery is complete when commits reach the rate of the stream over this time."""
PRODUCER_PROPERTIES = {"message.timeout.ms": 40_000, "reconnect.backoff.max.ms": 1_000}
"""A bounded delivery timeout: some producers never recover after a restart of the broker. Delivered messages count."""

ROWS: LiteralString = f"""
SELECT found.order_uid, (extract(epoch FROM o.source_timestamp) * 1000)::bigint, o.source_partition, o.source_offset,
       found.document::text
  FROM ({STORED_ORDERS}) found(order_uid, document) JOIN orders o USING (order_uid)
"""  # noqa: S608 - two constants


class Sender:
    """Produces in the background and remembers which messages are invalid."""

    def __init__(self, bootstrap_servers: str, topic: str, plan: Iterable[Message], rate: float) -> None:
        self.reasons: dict[bytes, Reason] = {}
        self.tally = Tally()
        self._rate = rate
        self._stop = ShutdownEvent()
        self._plan = plan
        self._thread = Thread(target=self._run, args=(bootstrap_servers, topic), daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, within: float) -> None:
        """Block until every message is acknowledged."""
        self._thread.join(within)
        assert self.is_done, f"the producer did not finish within {within:g} s"
        assert self.tally.complete, self.tally

    def stop(self) -> None:
        """Produce nothing more; does not block."""
        self._stop.set()

    def _run(self, bootstrap_servers: str, topic: str) -> None:
        producer = open_producer(bootstrap_servers, topic, PRODUCER_PROPERTIES, compress=True)
        limiter, messages = RateLimiter(self._rate), self._recorded()
        self.tally = produce(messages, producer, topic, limiter=limiter, stop=self._stop, on_progress=lambda _: None)

    def _recorded(self) -> Iterator[Message]:
        for message in self._plan:
            if message.reason is not None:
                self.reasons[dead_letter_digest(message.key, message.value)] = message.reason
            yield message


@dataclass
class Workload:
    """One scenario's topics, group and database, on servers that it may break."""

    scenario: str
    seed: int
    is_extended: bool
    session_seconds: float
    kafka: Broker
    postgres: Postgres
    kafka_proxy: Proxy
    postgres_proxy: Proxy
    settings: dict[str, str]
    spawn: Spawn
    table: list[Line]
    _running: list[Service] = field(default_factory=list)
    _senders: list[Sender] = field(default_factory=list)
    _recovery_timer: _RecoveryTimer | None = None

    @property
    def topic(self) -> str:
        return self.settings["ORDERS_KAFKA__TOPIC"]

    @property
    def dead_letter_topic(self) -> str:
        return self.settings["ORDERS_KAFKA__DEAD_LETTER_TOPIC"]

    @property
    def dsn(self) -> str:
        return self.settings["ORDERS_POSTGRES__DSN"]

    @property
    def through_proxies(self) -> dict[str, str]:
        """Settings that connect a member through the proxies."""
        dsn = urlsplit(self.dsn)
        login = dsn.netloc.rpartition("@")[0]
        return {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": f"{HOST}:{self.kafka_proxy.port}",
            "ORDERS_POSTGRES__DSN": dsn._replace(netloc=f"{login}@{HOST}:{self.postgres_proxy.port}").geturl(),
        }

    # Processes and messages

    def start(self, *arguments: str, **variables: str) -> Service:
        """Start a process of the service, by default a consumer, without waiting for it."""
        self._running.append(self.spawn(*(arguments or ("consumer",)), settings={**self.settings, **variables}))
        return self._running[-1]

    def start_module(self, module: str, **variables: str) -> Service:
        """Start a consumer by a module of the tests, and wait until it has partitions."""
        member = self.spawn("consumer", settings={**self.settings, **variables}, module=module)
        self._running.append(member)
        return wait_assigned(member)

    def start_with_failpoint(self, failpoint: str, nth: int, number: str = "SIGKILL", **variables: str) -> Service:
        """Start a consumer that signals itself the nth time that it reaches a failpoint (tests/kit/failpoints.py)."""
        settings = {**self.settings, **variables}
        return self.spawn(number, failpoint, str(nth), "consumer", settings=settings, module="tests.kit.failpoints")

    def kill(self, service: Service) -> None:
        self._running.remove(service)
        service.kill()

    def stop(self, service: Service) -> None:
        """Send SIGTERM; the process must exit with 0 in time."""
        self._running.remove(service)
        assert service.stop() == 0, service.tail()

    def restarted(self, **variables: str) -> Service:
        """Start a consumer, and restart it if it exits, until it has partitions."""

        def attempt() -> Service | None:
            member = self.start(**variables)
            eventually(
                lambda: member.process.poll() is not None or is_assigned(member), PROGRESS_TIMEOUT_SECONDS, "it starts"
            )
            if member.process.poll() is None:
                return member
            assert member.process.returncode == 1, member.tail()
            self._running.remove(member)
            return None

        return eventually(attempt, PROGRESS_TIMEOUT_SECONDS, "the group accepts it")  # type: ignore[return-value]

    def ended(self, *members: Service) -> Service:
        """Block until one of the members has exited by itself, and return it."""
        found = eventually(lambda: next((each for each in members if each.process.poll() is not None), None), 30)
        assert found is not None
        self._running.remove(found)
        return found

    def members(self, count: int = 2, /, **variables: str) -> list[Service]:
        """Start consumers and wait until each has partitions."""
        started = [self.start(**variables) for _ in range(count)]
        for each in started:
            wait_assigned(each)
        return started

    def send(self, seconds: float = 0, *, rate: float = RATE, plan: Plan = MIX) -> Sender:
        """Produce the seed's stream in the background, by default for as long as most faults last."""
        seconds = seconds or (4 if self.is_extended else 3)
        return self.produce_messages(stream(replace(plan, count=int(seconds * rate), seed=self.seed)), rate)

    def produce_messages(self, plan: Iterable[Message], rate: float = 0) -> Sender:
        sender = Sender(self.kafka.bootstrap_servers, self.topic, plan, rate)
        self._senders.append(sender)
        return sender

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def stored(self) -> int:
        return int(self.query("SELECT count(*) FROM orders")[0][0])

    def wait_stored(self, more: int = int(RATE)) -> None:
        """Block until this many more orders are stored."""
        before = self.stored()
        eventually(lambda: self.stored() > before + more, PROGRESS_TIMEOUT_SECONDS, f"{more} more orders are stored")

    def elapse(self, seconds: float) -> None:
        """Block for the duration of a fault."""
        until = monotonic() + seconds
        eventually(lambda: monotonic() > until, 2 * seconds, "the time passes")

    def produced(self) -> int:
        """Return the number of messages in the topic."""
        return self._progress().produced

    def committed(self) -> int:
        """Return the number of messages that the group has committed."""
        reached = self._progress()
        return reached.produced - reached.lag

    def _progress(self) -> GroupProgress:
        reader = self._reader()
        try:
            return progress(reader, self.topic)
        finally:
            reader.close()

    def run(self, *arguments: str) -> None:
        """Run a command; it must exit with 0."""
        command = self.spawn(*arguments, settings=self.settings)
        assert command.process.wait(COMMAND_TIMEOUT_SECONDS) == 0, command.tail()

    # Topics

    def create_topic(self, name: str) -> None:
        create_topics(self.kafka.bootstrap_servers, name)

    def delete_topic(self, name: str) -> None:
        admin = self._admin()
        admin.delete_topics([name])[name].result(ADMIN_SECONDS)
        eventually(
            lambda: name not in admin.list_topics(timeout=ADMIN_SECONDS).topics,
            ADMIN_SECONDS,
            f"{name} is deleted",
        )

    def has_open_transaction(self) -> bool:
        """Return whether messages of the topic cannot be read yet because a producer's transaction is open."""
        admin = self._admin()
        return self._ends(admin, IsolationLevel.READ_COMMITTED) != self._ends(admin, IsolationLevel.READ_UNCOMMITTED)

    def _ends(self, admin: AdminClient, isolation: IsolationLevel) -> list[int]:
        partitions = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = admin.list_offsets(dict.fromkeys(partitions, latest), isolation_level=isolation)
        return [ends[each].result(ADMIN_SECONDS).offset for each in partitions]

    def topic_id(self) -> str:
        admin = self._admin()
        described = admin.describe_topics(TopicCollection([self.topic]), request_timeout=ADMIN_SECONDS)
        return str(described[self.topic].result().topic_id)

    def is_read_to_the_end(self) -> bool:
        """Return whether the group's offsets are the ends of the topic as it is now, and of no log of the same name."""
        reader, metadata = self._reader(), f"topic-id={self.topic_id()}"
        try:
            places = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
            committed = reader.committed(places, timeout=ADMIN_SECONDS)
            ends = [reader.get_watermark_offsets(each, timeout=ADMIN_SECONDS)[1] for each in places]
        finally:
            reader.close()
        return [(each.offset, each.metadata) for each in committed] == [(end, metadata) for end in ends]

    def commit(self, offsets: dict[int, int], metadata: str) -> None:
        """Commit offsets for the group, which must have no members."""
        reader = self._reader()
        places = [TopicPartition(self.topic, partition, offset, metadata) for partition, offset in offsets.items()]
        reader.commit(offsets=places, asynchronous=False)
        reader.close()

    def forget_history(self) -> None:
        """Ignore everything sent and stored so far, because the topic is a new one."""
        self._senders.clear()
        self.query("DELETE FROM orders")

    def configure_topic(self, name: str, option: str, value: int) -> None:
        entry = ConfigEntry(option, str(value), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        admin = self._admin()  # must outlive its request
        admin.incremental_alter_configs([resource])[resource].result(ADMIN_SECONDS)

    @contextmanager
    def write_denied(self, topic: str) -> Iterator[None]:
        """Deny writes to a topic within the block."""
        admin = self._admin()
        rule = AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.WRITE,
            AclPermissionType.DENY,
        )  # fmt: skip
        admin.create_acls([rule])[rule].result(ADMIN_SECONDS)
        try:
            yield
        finally:
            of_topic = AclBindingFilter(
                ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.ANY,
                AclPermissionType.ANY,
            )  # fmt: skip
            admin.delete_acls([of_topic])[of_topic].result(ADMIN_SECONDS)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers})

    # Outcome

    @property
    def recovery(self) -> Recovery:
        assert self._recovery_timer is not None
        return self._recovery_timer.measured

    def fault_ended(self) -> None:
        """Start to measure the recovery."""
        self._recovery_timer = _RecoveryTimer(RATE)

    def settle(self, within: float = SETTLE_SECONDS) -> None:
        """Block until every produced message is processed and committed."""
        reader = self._reader()
        try:
            eventually(lambda: self._is_settled(reader), within, "every message is committed")
        except AssertionError as error:
            tails = (service.tail() for service in self._running)
            raise AssertionError("\n\n".join((str(error), *tails))) from error
        finally:
            reader.close()
        for sender in self._senders:
            assert sender.tally.delivered + sender.tally.failed.total() == sender.tally.sent.total(), sender.tally

    def assert_exact(
        self,
        *,
        exactly_once: bool = False,
        compare_by: str = "timestamp",
        expected_reason: ExpectedReason | None = None,
        erased: Collection[str] = (),
    ) -> CheckResult:
        """Settle, then assert that every message is accounted for and that no process has exited by itself.

        The scenario is added to the table even if an assertion fails.
        """
        self.settle()
        result = self._check(
            Checker(expected_reason or self.planned_reason, compare_by=compare_by, erased=erased),
            exactly_once=exactly_once,
        )
        recovery = self.recovery if self._recovery_timer else None
        self.table.append(Line(self.scenario, self.seed, result, recovery))
        assert result.produced >= sum(sender.tally.delivered for sender in self._senders)
        assert result.is_exact, result
        assert result.accounted == result.produced, result
        assert [service.tail() for service in self._running if service.process.poll() is not None] == []
        return result

    def end(self) -> None:
        """Stop everything that still runs."""
        for sender in self._senders:
            sender.stop()
        for service in self._running:
            service.kill()

    def planned_reason(self, message: confluent_kafka.Message) -> Reason | None:
        """Return why the stream made this message invalid; None if it is valid."""
        digest = dead_letter_digest(message.key(), message.value())
        return next((sender.reasons[digest] for sender in self._senders if digest in sender.reasons), None)

    def dead_letters(self) -> list[confluent_kafka.Message]:
        """Return the dead letters that a `read_committed` consumer sees."""
        reader = self._reader()
        try:
            return list(messages(reader, self.dead_letter_topic))
        finally:
            reader.close()

    def _check(self, checker: Checker, *, exactly_once: bool) -> CheckResult:
        reader, other = self._reader(), self._reader()
        try:
            topic, dead_letters = messages(reader, self.topic), messages(other, self.dead_letter_topic)
            return checker.check(topic, self._rows(), dead_letters, exactly_once=exactly_once)
        finally:
            reader.close()
            other.close()

    def _rows(self) -> Iterator[Row]:
        for uid, timestamp_ms, partition, offset, document in rows(self.dsn, ROWS):
            yield Row(uid, Version(timestamp_ms, partition, offset), msgspec.json.decode(document))

    def _reader(self) -> confluent_kafka.Consumer:
        group = self.settings["ORDERS_KAFKA__GROUP_ID"]
        return open_consumer(self.kafka.bootstrap_servers, group, {"isolation.level": "read_committed"})

    def _is_settled(self, reader: confluent_kafka.Consumer) -> bool:
        try:
            reached = progress(reader, self.topic)
        except ReadError:
            return False
        if self._recovery_timer:
            self._recovery_timer.observe(reached.produced - reached.lag, reached.lag)
        return not reached.lag and all(sender.is_done for sender in self._senders)


class _RecoveryTimer:
    """Measures when commits resume after a fault, and when they reach the rate of the stream."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._began = monotonic()
        self._seen: deque[tuple[float, int]] = deque()
        self._first: float | None = None
        self._full: float | None = None

    @property
    def measured(self) -> Recovery:
        assert self._first is not None
        assert self._full is not None
        return Recovery(self._first, self._full)

    def observe(self, done: int, lag: int) -> None:
        now = monotonic() - self._began
        self._seen.append((now, done))
        while self._seen[0][0] < now - 2 * RATE_WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        if self._first is None and (done > before or not lag):
            self._first = now
        is_fast = now - then >= RATE_WINDOW_SECONDS and done - before >= self._rate * (now - then)
        if self._full is None and (is_fast or not lag):
            self._full = now


def create_topics(bootstrap_servers: str, *names: str, brokers: Sequence[int] = (1,)) -> None:
    """Create topics with a replica on each of the brokers, which lead partitions in turn."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    turns = [[*brokers[turn:], *brokers[:turn]] for turn in range(len(brokers))]
    assignment = [turns[partition % len(turns)] for partition in range(PARTITIONS)]
    topics = [NewTopic(name, PARTITIONS, replica_assignment=assignment, config=TOPIC_CONFIG) for name in names]
    for request in client.create_topics(topics).values():
        request.result(ADMIN_SECONDS)
    eventually(
        lambda: set(names) <= client.list_topics(timeout=ADMIN_SECONDS).topics.keys(),
        ADMIN_SECONDS,
        f"topics {names}",
    )


def delete_topics(bootstrap_servers: str, *names: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    for request in client.delete_topics(list(names)).values():
        with suppress(KafkaException):  # the scenario itself may have deleted it
            request.result(ADMIN_SECONDS)


def wait_assigned(service: Service) -> Service:
    """Block until a consumer has partitions."""
    eventually(lambda: is_assigned(service), PROGRESS_TIMEOUT_SECONDS, "partitions are assigned")
    return service


def is_assigned(service: Service) -> bool:
    return metric(service, "orders_rebalances_total", kind="assigned") > 0


@contextmanager
def stopped(server: Broker | Postgres) -> Iterator[None]:
    """Stop a server within the block."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def suspended(server: Broker | Postgres) -> Iterator[None]:
    """Suspend a server within the block: its connections stay open, and it does not respond."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()
