"""A stream of orders, the consumers that process it, and the servers that a scenario breaks."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import confluent_kafka
import psycopg

from generator.expected import dead_letter_digest
from generator.formats import MIXED
from generator.orders import Document
from generator.stream import Message, Plan, stream
from local.broker import Broker
from local.ports import HOST
from local.postgres import Postgres
from service.entities.dead_letter import Reason
from service.errors import CommandFailed
from tests.faults.background_producer import BackgroundProducer
from tests.faults.checker import Checker, CheckResult
from tests.faults.group import Group
from tests.faults.outcome import Outcome
from tests.faults.recovery import RecoveryTimer
from tests.faults.table import Line, Recovery
from tests.faults.topics import Topics
from tests.kit.harness import metric
from tests.kit.processes import Service, Spawn
from tests.kit.proxy import Proxy
from tests.kit.waiting import eventually, throughout

ExpectedReason = Callable[[confluent_kafka.Message], Reason | None]

RATE = 1_000.0
"""Messages per second: two members keep up with it on two cores."""
MIX = Plan(invalid=0.02, duplicates=0.05, stale=0.02, updates=0.05, tombstones=0.005, too_large=True, format=MIXED)
"""Messages in all formats that need no schema registry, if a scenario has no format of its own."""
INVALID = replace(MIX, invalid=0.2)
"""Dead letters in every batch."""
DELIVERY: Mapping[str, Mapping[str, str]] = {
    "at-least-once": {},
    "exactly-once": {"ORDERS_DEAD_LETTERS__EXACTLY_ONCE": "true"},
}
"""Settings of a member by delivery guarantee."""
STREAM_SECONDS = 90
"""Longer than any session lasts: the stream is stopped when it is no longer needed."""
PROGRESS_TIMEOUT_SECONDS = 30.0
COMMAND_TIMEOUT_SECONDS = 60.0
SETTLE_SECONDS = 120.0


@dataclass
class Workload:
    """One scenario's topics, group and database, on servers that it may break."""

    scenario: str
    message_format: str
    """Empty if the scenario mixes formats."""
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
    documents: Mapping[bytes, Document] = field(default_factory=dict)
    """By value: the documents in messages that need a schema."""
    _running: list[Service] = field(default_factory=list)
    _producers: list[BackgroundProducer] = field(default_factory=list)
    _recovery_timer: RecoveryTimer | None = None

    def __post_init__(self) -> None:
        self.topics = Topics(self.kafka.bootstrap_servers)
        self.order_topics = [self.topic]
        group_id = self.settings["ORDERS_KAFKA__GROUP_ID"]
        self.group = Group(self.kafka.bootstrap_servers, group_id, self.order_topics)
        self.outcome = Outcome(self.group, self.order_topics, self.dead_letter_topic, self.dsn)

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

    def add_topic(self) -> None:
        """Create a topic that members read, too, if they are started later."""
        self.order_topics.append(f"{self.topic}.{len(self.order_topics)}")
        self.topics.create(self.order_topics[-1])
        self.settings["ORDERS_KAFKA__TOPICS"] = ",".join(self.order_topics)

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

    def start_with_failpoint(self, failpoint: str, nth: int, sig: str = "SIGKILL", **variables: str) -> Service:
        """Start a consumer that signals itself the nth time that it reaches a failpoint (tests/kit/failpoints.py)."""
        settings = {**self.settings, **variables}
        return self.spawn(sig, failpoint, str(nth), "consumer", settings=settings, module="tests.kit.failpoints")

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

    def wait_exited(self, *members: Service) -> Service:
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

    def send(self, seconds: float = 0, *, rate: float = RATE, plan: Plan = MIX) -> BackgroundProducer:
        """Produce the seed's stream in the background, by default for as long as most faults last."""
        seconds = seconds or (4 if self.is_extended else 3)
        return self.produce_messages(stream(replace(plan, count=int(seconds * rate), seed=self.seed)), rate)

    def produce_messages(self, messages: Iterable[Message], rate: float = 0, topic: str = "") -> BackgroundProducer:
        producer = BackgroundProducer(self.kafka.bootstrap_servers, topic or self.topic, messages, rate)
        self._producers.append(producer)
        return producer

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

    def outlast(self, seconds: float) -> None:
        """Block for the duration of a fault, which every process must survive."""
        throughout(lambda: self._exited() == [], seconds, "every process runs")

    def run(self, *arguments: str) -> None:
        """Run a command; it must exit with 0."""
        command = self.spawn(*arguments, settings=self.settings)
        assert command.process.wait(COMMAND_TIMEOUT_SECONDS) == 0, command.tail()

    def forget_history(self) -> None:
        """Ignore everything produced and stored so far, because the topic is a new one."""
        self._producers.clear()
        self.query("DELETE FROM orders")

    # Outcome

    @property
    def recovery(self) -> Recovery:
        assert self._recovery_timer is not None
        return self._recovery_timer.measured

    def fault_ended(self) -> None:
        """Start to measure the recovery."""
        self._recovery_timer = RecoveryTimer(RATE)

    def settle(self, within: float = SETTLE_SECONDS) -> None:
        """Block until every produced message is processed and committed."""
        with closing(self.group.open_reader()) as reader:
            try:
                eventually(lambda: self._is_settled(reader), within, "every message is committed")
            except AssertionError as error:
                tails = (service.tail() for service in self._running)
                raise AssertionError("\n\n".join((str(error), *tails))) from error
        for tally in (producer.tally for producer in self._producers):
            assert tally.delivered + tally.failed.total() == tally.sent.total(), tally

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
        result = self.outcome.check(
            Checker(expected_reason or self.planned_reason, self.documents, compare_by=compare_by, erased=erased),
            exactly_once=exactly_once,
        )
        recovery = self.recovery if self._recovery_timer else None
        self.table.append(Line(self.scenario, self.seed, result, recovery, self.message_format))
        assert result.produced >= sum(producer.tally.delivered for producer in self._producers)
        assert result.is_exact, result
        assert result.accounted == result.produced, result
        assert self._exited() == []
        return result

    def close(self) -> None:
        """Stop everything that still runs."""
        for producer in self._producers:
            producer.stop()
        for service in self._running:
            service.kill()

    def _exited(self) -> list[str]:
        """Return the end of the log of each process that has exited by itself."""
        return [service.tail() for service in self._running if service.process.poll() is not None]

    def planned_reason(self, message: confluent_kafka.Message) -> Reason | None:
        """Return why the stream made this message invalid; None if it is valid."""
        digest = dead_letter_digest(message.key(), message.value())
        return next((producer.reasons[digest] for producer in self._producers if digest in producer.reasons), None)

    def _is_settled(self, reader: confluent_kafka.Consumer) -> bool:
        try:
            reached = self.group.progress(reader)
        except CommandFailed:
            return False
        if self._recovery_timer:
            self._recovery_timer.observe(reached.produced - reached.lag, reached.lag)
        return not reached.lag and all(producer.is_done for producer in self._producers)


def wait_assigned(service: Service) -> Service:
    """Block until a consumer has partitions."""
    eventually(lambda: is_assigned(service), PROGRESS_TIMEOUT_SECONDS, "partitions are assigned")
    return service


def is_assigned(service: Service) -> bool:
    return metric(service, "orders_rebalances_total", kind="assigned") > 0
