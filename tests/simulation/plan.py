"""What a seed stands for: a configuration, a workload and faults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import Final

from tests.simulation.planned_operations import (
    ERASURES_SECONDS,
    REPLAYS_SECONDS,
    PlannedErasure,
    PlannedReplay,
    erasures,
    replays,
)
from tests.simulation.workload import Kind

FAULTS_SECONDS: Final = (0.5, 14.0)
"""When faults are armed."""
MAX_FAULTS: Final = 6
STOPPED_WITHOUT_KAFKA: Final = 0.1
"""Share of the plans."""

# Of the circuit breaker: small, so that few messages open it.
MAX_CONSECUTIVE: Final = 5
MIN_REJECTED: Final = 4
PROBE_MESSAGES: Final = 3
RETRY_AFTER_SECONDS: Final = 3.0


class FaultKind(Enum):
    __hash__ = object.__hash__  # that of Enum takes long

    KAFKA_DOWN = "Kafka is unreachable"
    COMMIT_REQUEST_LOST = "a commit is lost"
    COMMIT_ANSWER_LOST = "the answer to a commit is lost"
    COMMIT_REJECTED = "a commit is rejected"
    COMMIT_SLOW = "a commit is slow"
    QUERY_LOST = "a query for offsets is lost"
    LOOKUP_LOST = "a lookup of the topic id is lost"
    MEMBER_SUSPENDED = "a member is suspended"
    MEMBER_KILLED = "a member is killed"
    MEMBER_STOPPED = "a member is stopped"
    MEMBER_JOINS = "a member joins"
    MEMBER_FENCED = "a member's client fails for good"
    TOPIC_RECREATED = "the topic is recreated"
    RECORDS_DELETED = "retention deletes records"
    TRANSACTION_STAYS_OPEN = "a producer's transaction stays open"
    DEAD_LETTER_REJECTED = "a dead letter is rejected"
    DEAD_LETTER_HANGS = "a dead letter is not acknowledged"
    DEAD_LETTER_ANSWER_LOST = "the acknowledgement of a dead letter is lost"
    DEAD_LETTER_SLOW = "a dead letter is slow"
    TRANSACTION_REQUEST_LOST = "a request of a transaction is lost"
    TRANSACTION_ANSWER_LOST = "the answer to a request of a transaction is lost"
    TRANSACTION_REJECTED = "a request of a transaction is rejected"
    TRANSACTION_SLOW = "a request of a transaction is slow"
    POSTGRES_DOWN = "PostgreSQL is unreachable"
    POSTGRES_ANSWER_LOST = "the answer to COMMIT is lost"
    POSTGRES_CONNECTION_LOST = "the connection to PostgreSQL is lost"
    POSTGRES_SERIALIZATION = "a serialization failure"
    POSTGRES_TIMEOUT = "a statement timeout"
    POSTGRES_SLOW = "PostgreSQL is slow"
    POSTGRES_REJECTS_ALL = "PostgreSQL rejects every order"
    COMMAND_KILLED = "a command is killed"
    COMMAND_STOPPED = "a command is stopped"
    DEAD_LETTERS_DELETED = "retention deletes dead letters"
    DEAD_LETTER_TOPIC_RECREATED = "the dead-letter topic is recreated"


class Stage(Enum):
    """What a member, or a command beside the members, is doing. The first one that applies is meant."""

    __hash__ = object.__hash__

    DOWN = "down"
    JOINING = "joining"
    DRAINING = "draining"
    REBALANCING = "in a callback of a rebalance"
    VERIFYING = "verifying positions"
    BREAKER_OPEN = "paused by the circuit breaker"
    PROBING = "probing"
    WAITING_FOR_STORE = "waiting for the store"
    RETRYING = "waiting to retry"
    STORING = "storing"
    DEAD_LETTERING = "dead-lettering"
    DONE = "batch done"
    COMMITTING = "committing"
    IDLE = "idle"
    REPLAY_READING = "reading dead letters for a replay"
    REPLAY_SENDING = "replaying dead letters"
    REPLAY_COMMITTING = "committing the offsets of a replay"
    ERASING = "erasing an order"
    LISTING = "listing the dead letters of an erased order"
    UNDOING = "undoing an erasure"


_COMMAND_FAULTS: Final = (
    FaultKind.COMMAND_KILLED,
    FaultKind.COMMAND_STOPPED,
    FaultKind.DEAD_LETTERS_DELETED,
    FaultKind.DEAD_LETTER_TOPIC_RECREATED,
)
"""Faults that only plans with commands have."""
_FAULTS_DURING_REPLAYS: Final = (
    *_COMMAND_FAULTS,
    FaultKind.COMMAND_KILLED,
    FaultKind.KAFKA_DOWN,
    FaultKind.COMMIT_REQUEST_LOST,
    FaultKind.COMMIT_ANSWER_LOST,
    FaultKind.COMMIT_REJECTED,
    FaultKind.QUERY_LOST,
    FaultKind.LOOKUP_LOST,
    FaultKind.TOPIC_RECREATED,
    FaultKind.RECORDS_DELETED,
    FaultKind.DEAD_LETTER_REJECTED,
    FaultKind.DEAD_LETTER_HANGS,
    FaultKind.DEAD_LETTER_ANSWER_LOST,
    FaultKind.POSTGRES_REJECTS_ALL,
)
_FAULTS_DURING_ERASURES: Final = (
    *_COMMAND_FAULTS,
    FaultKind.KAFKA_DOWN,
    FaultKind.QUERY_LOST,
    FaultKind.TOPIC_RECREATED,
    FaultKind.RECORDS_DELETED,
    FaultKind.TRANSACTION_STAYS_OPEN,
    FaultKind.MEMBER_KILLED,
    FaultKind.MEMBER_SUSPENDED,
    FaultKind.POSTGRES_DOWN,
    FaultKind.POSTGRES_ANSWER_LOST,
    FaultKind.POSTGRES_CONNECTION_LOST,
    FaultKind.POSTGRES_SLOW,
)
_REPLAY_STAGES: Final = (Stage.REPLAY_READING, Stage.REPLAY_SENDING, Stage.REPLAY_COMMITTING)
_ERASURE_STAGES: Final = (Stage.ERASING, Stage.LISTING, Stage.UNDOING)
_MEMBER_FAULTS: Final = [each for each in FaultKind if each not in _COMMAND_FAULTS]
_MEMBER_STAGES: Final = [each for each in Stage if each not in {*_REPLAY_STAGES, *_ERASURE_STAGES}]
MAX_COMMAND_FAULTS: Final = 3
"""Of replays, and of erasures."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: from when on it may strike: at once, or when this stage is reached, at the latest after ten seconds."""

    kind: FaultKind
    at: float
    stage: Stage | None
    seconds: float
    target: int
    """Selects a member, partition or request."""

    def __str__(self) -> str:
        when = f" or later, in stage {self.stage.value}" if self.stage else ""
        return f"{self.at:.1f} s{when}: {self.kind.value} ({self.seconds:.1f} s, target {self.target})"


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    members: int
    partitions: int
    records: int
    max_messages: int
    exactly_once: bool
    preemption: float
    flood: Kind | None
    is_stopped_without_kafka: bool
    """Whether Kafka is unreachable when the members are stopped at the end."""
    faults: tuple[Fault, ...]
    replays: tuple[PlannedReplay, ...] = ()
    erasures: tuple[PlannedErasure, ...] = ()

    def __str__(self) -> str:
        commands = "".join(f"; {each}" for each in (*self.replays, *self.erasures))
        return (
            f"{self.members} members, {self.partitions} partitions, {self.records} records, "
            f"batches of {self.max_messages}, {'exactly' if self.exactly_once else 'at least'} once{commands}"
        )


def plan_of(seed: int) -> Plan:
    random = Random(f"plan {seed}")  # noqa: S311 - must be reproducible
    exactly_once = random.random() < 0.5
    plan = Plan(
        seed=seed,
        members=random.choice((1, 1, 2, 3)),
        partitions=random.randint(1, 4),
        records=random.randint(5, 80),
        max_messages=random.randint(2, 12),
        exactly_once=exactly_once,
        preemption=random.choice((0.02, 0.1, 0.5)),
        flood=random.choice((None, None, None, Kind.INVALID, Kind.POISON)),
        is_stopped_without_kafka=random.random() < STOPPED_WITHOUT_KAFKA,
        faults=tuple(
            _fault(random, _MEMBER_FAULTS, [None, *_MEMBER_STAGES], FAULTS_SECONDS)
            for _ in range(random.randint(0, MAX_FAULTS))
        ),
    )
    return _with_operations(plan)


def _with_operations(plan: Plan) -> Plan:
    """Add what operators do, and faults of its own, with other random numbers: plans without it stay the same."""
    random = Random(f"operations {plan.seed}")  # noqa: S311 - must be reproducible
    planned = replays(random)
    faults = _faults(random, _FAULTS_DURING_REPLAYS, _REPLAY_STAGES, REPLAYS_SECONDS) if planned else []
    planned_erasures = erasures(random)
    if planned_erasures:
        faults += _faults(random, _FAULTS_DURING_ERASURES, _ERASURE_STAGES, ERASURES_SECONDS)
    return replace(plan, faults=(*plan.faults, *faults), replays=planned, erasures=planned_erasures)


def _faults(
    random: Random, kinds: Sequence[FaultKind], stages: Sequence[Stage], seconds: tuple[float, float]
) -> list[Fault]:
    return [_fault(random, kinds, stages, seconds) for _ in range(random.randint(0, MAX_COMMAND_FAULTS))]


def _fault(
    random: Random, kinds: Sequence[FaultKind], stages: Sequence[Stage | None], seconds: tuple[float, float]
) -> Fault:
    """`seconds`: from when to when it may be armed."""
    return Fault(
        random.choice(kinds),
        random.uniform(*seconds),
        random.choice(stages),
        random.choice((0.2, 2.0, 7.5, 12.0, 25.0)) * random.uniform(0.5, 1.2),
        random.randrange(100),
    )
