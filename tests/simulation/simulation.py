"""Runs one plan: starts the members, injects the faults, waits until everything is processed, and checks it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Final
from unittest import mock

import confluent_kafka

from service.handler.kafka.consumer import state_actions
from service.handler.kafka.dead_letters import producer as dead_letter_producer
from tests.simulation.broker import Broker
from tests.simulation.checker import Checker
from tests.simulation.coordinator import Coordinator
from tests.simulation.database import Database
from tests.simulation.erasure import SimulatedErasure
from tests.simulation.erasure_checker import ErasureChecker
from tests.simulation.member import DEAD_LETTER_TOPIC, MAX_POLL_SECONDS, TOPIC, Member
from tests.simulation.nemesis import Nemesis, delay_seconds
from tests.simulation.operation import Attempt, Operation, State
from tests.simulation.order_producer import OrderProducer
from tests.simulation.plan import Plan
from tests.simulation.planned_operations import PlannedErasure, PlannedReplay
from tests.simulation.producer import SimulatedProducer
from tests.simulation.replay import SimulatedReplay
from tests.simulation.replay_checker import ReplayChecker
from tests.simulation.result import Result
from tests.simulation.scheduler import START_SECONDS, Deadlock, Scheduler
from tests.simulation.seeded import seeded
from tests.simulation.threads import virtual
from tests.simulation.timeline import Timeline
from tests.simulation.violation import Violation
from tests.simulation.workload import MAX_DEAD_LETTER_BYTES, SECONDS, uid_of, workload

RECOVERY_SECONDS: Final = 90.0
"""How long after the last fault everything must be processed."""
SHUTDOWN_SECONDS: Final = 45.0
"""The chart's grace period."""
SESSION_SECONDS: Final = 6.0
POLL_SECONDS: Final = {"WRITE_POLL_SECONDS": 0.03, "IDLE_POLL_SECONDS": 0.5, "PAUSED_POLL_SECONDS": 0.2}
"""Longer than in production, because most steps are those of polls that find nothing."""
DELIVERY_TIMEOUT_SECONDS: Final = 15
"""Instead of a minute. Longer than a session."""
JOIN_SECONDS: Final = 15.0
"""How long a member takes at most to notice that its session has expired, and to join again."""


def simulate(plan: Plan) -> Result:
    with seeded(plan.seed):
        simulation = Simulation(plan)
        problem = None
        try:
            simulation.run()
        except (Violation, Deadlock) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            simulation.scheduler.close()
    timeline = simulation.timeline
    return Result(plan, problem, frozenset(simulation.nemesis.pairs), timeline.digest, timeline.events)


@contextmanager
def _fewer_polls() -> Iterator[None]:
    """Let less happen while nothing changes: fewer polls, and shorter timeouts."""
    with (
        mock.patch.dict(vars(state_actions), POLL_SECONDS),
        mock.patch.object(dead_letter_producer, "_DELIVERY_TIMEOUT_MS", DELIVERY_TIMEOUT_SECONDS * 1_000),
    ):
        yield


class Simulation:
    def __init__(self, plan: Plan) -> None:
        random = Random(f"schedule {plan.seed}")  # noqa: S311 - must be reproducible
        self.plan = plan
        self.scheduler = Scheduler(random, plan.preemption)
        self.timeline = Timeline(self.scheduler)
        self.coordinator = Coordinator(lambda: self.broker.keys(TOPIC), SESSION_SECONDS, MAX_POLL_SECONDS)
        self.broker = Broker(self.scheduler, random, self.timeline, self.coordinator)
        self.broker.create_topic(TOPIC, plan.partitions)
        self.broker.create_topic(DEAD_LETTER_TOPIC, 2, MAX_DEAD_LETTER_BYTES)
        self.database = Database(self.scheduler, random, self.timeline)
        self.checker = Checker(self.broker, self.database, TOPIC, DEAD_LETTER_TOPIC)
        self.coordinator.on_commit = self.checker.on_commit
        self.producer = OrderProducer(self.broker, self.checker, TOPIC)
        self.members: list[Member] = []
        self.replay_checker = ReplayChecker(self.checker)
        self.erasure_checker = ErasureChecker(self.checker, self.database)
        self.operations: list[Operation] = []
        for planned in plan.replays:
            self._plan_replay(planned)
        for erased in plan.erasures:
            self._plan_erasure(erased)
        self._is_stopping = False
        self.nemesis = Nemesis(
            faults=plan.faults,
            members=self.members,
            operations=self.operations,
            broker=self.broker,
            database=self.database,
            checker=self.checker,
            producer=self.producer,
            start_member=self._start_member,
        )
        random = Random(f"workload {plan.seed}")  # noqa: S311 - must be reproducible
        self.producer.schedule(workload(random, plan.records, plan.partitions, plan.flood))

    def run(self) -> None:
        """Raises Violation and Deadlock."""
        producer = partial(SimulatedProducer, self.broker)
        with virtual(self.scheduler, {confluent_kafka.Producer: producer}), _fewer_polls():
            for _ in range(self.plan.members):
                self._start_member()
            self.scheduler.on_step = self.nemesis.on_step
            self.scheduler.wait(lambda: self.producer.is_done and self.nemesis.is_done, SECONDS + RECOVERY_SECONDS)
            self._wait_for_operations()
            self._wait_until_processed()
            self._verify_breakers()
            self.checker.verify_end(exactly_once=self.plan.exactly_once)
            self.replay_checker.verify_end()
            self.erasure_checker.verify_end()
            self.checker.verify_breakers(self.plan, [each.rejected_with_all for each in self.members])
            if self.plan.is_stopped_without_kafka:
                self._stop_kafka_during_a_write()
            self._stop_members()

    def _plan_replay(self, planned: PlannedReplay) -> None:
        replay = SimulatedReplay(planned, self.broker, self.replay_checker)
        self._plan_operation(planned.at, f"replay of {planned.which.value}", replay.run)

    def _plan_erasure(self, planned: PlannedErasure) -> None:
        uid = uid_of(planned.target, self.plan.records)
        erasure = SimulatedErasure(uid, self.broker, self.database, self.erasure_checker)
        self._plan_operation(planned.at, f"erasure of {uid}", erasure.erase)
        if planned.undone_at is not None:
            self._plan_operation(planned.undone_at, f"undo of {uid}", erasure.undo)

    def _plan_operation(self, at: float, name: str, work: Callable[[Attempt], None]) -> None:
        operation = Operation(name, self.broker, work)
        self.operations.append(operation)
        self.scheduler.call_at(START_SECONDS + at, operation.start)

    def _wait_for_operations(self) -> None:
        if not self.scheduler.wait(lambda: all(each.state is State.DONE for each in self.operations), RECOVERY_SECONDS):
            states = [each.state.name for each in self.operations]
            raise Violation(f"{RECOVERY_SECONDS:g} s after the last fault, the commands are {states}")

    def _start_member(self) -> None:
        if self._is_stopping:
            return
        number = len(self.members) + 1
        member = Member(
            number, self.plan, self.broker, self.database, self.timeline, on_failed=self.nemesis.start_another
        )
        self.members.append(member)
        member.start()

    def _wait_until_processed(self) -> None:
        """Wait until the lag is 0. The circuit breaker may hold rejected orders back until another one is stored."""
        seconds = RECOVERY_SECONDS + sum(map(delay_seconds, self.plan.faults))
        if not self._is_processed_within(seconds) and self.checker.holds_back_rejected:
            self.producer.produce_one_each()
            self._is_processed_within(seconds)
        if lag := self.checker.lag:
            raise Violation(f"{seconds:g} s after the last fault, the lag is {lag}")

    def _verify_breakers(self) -> None:
        """Verify that good orders close each circuit breaker; a member may first have to join the group again."""
        for _ in range(3):
            self.producer.produce_one_each()
            self._wait_until_processed()
            members = [each for each in self.members if each.is_running and each.client.owned]
            still_open = [each.process.name for each in members if each.is_breaker_open]
            if not still_open:
                return
            self.scheduler.delay(JOIN_SECONDS)
        raise Violation(f"the circuit breakers of {still_open} are still open")

    def _is_processed_within(self, seconds: float) -> bool:
        return self.scheduler.wait(lambda: self.checker.is_processed, seconds)

    def _stop_kafka_during_a_write(self) -> None:
        """Produce an order that is stored, and whose offset is not committed in time."""
        self.producer.produce_one_each()
        self.scheduler.wait(lambda: any(each.store.is_storing for each in self.members), JOIN_SECONDS)
        self.broker.stop(SHUTDOWN_SECONDS)

    def _stop_members(self) -> None:
        self._is_stopping = True
        for member in self.members:
            member.stop.set()
        if not self.scheduler.wait(lambda: not any(each.is_running for each in self.members), SHUTDOWN_SECONDS):
            running = [each.process.name for each in self.members if each.is_running]
            raise Violation(f"{running} did not stop within {SHUTDOWN_SECONDS:g} s")
