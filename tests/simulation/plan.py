"""What a seed stands for: a configuration, a workload and faults."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.simulation.workload import Kind

FAULTS_FROM_SECONDS: Final = 0.5
FAULTS_UNTIL_SECONDS: Final = 14.0
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


class Stage(Enum):
    """What a member is doing. The first one that applies is meant."""

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


@dataclass(frozen=True, slots=True)
class Fault:
    """`at`: from when on it may strike: at once, or when a member is in this stage, at the latest after ten seconds."""

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

    def __str__(self) -> str:
        return (
            f"{self.members} members, {self.partitions} partitions, {self.records} records, "
            f"batches of {self.max_messages}, {'exactly' if self.exactly_once else 'at least'} once"
        )


def plan_of(seed: int) -> Plan:
    random = Random(f"plan {seed}")  # noqa: S311 - must be reproducible
    exactly_once = random.random() < 0.5
    return Plan(
        seed=seed,
        members=random.choice((1, 1, 2, 3)),
        partitions=random.randint(1, 4),
        records=random.randint(5, 80),
        max_messages=random.randint(2, 12),
        exactly_once=exactly_once,
        preemption=random.choice((0.02, 0.1, 0.5)),
        flood=random.choice((None, None, None, Kind.INVALID, Kind.POISON)),
        is_stopped_without_kafka=random.random() < STOPPED_WITHOUT_KAFKA,
        faults=tuple(_fault(random) for _ in range(random.randint(0, MAX_FAULTS))),
    )


def _fault(random: Random) -> Fault:
    return Fault(
        random.choice([*FaultKind]),
        random.uniform(FAULTS_FROM_SECONDS, FAULTS_UNTIL_SECONDS),
        random.choice([None, *Stage]),
        random.choice((0.2, 2.0, 7.5, 12.0, 25.0)) * random.uniform(0.5, 1.2),
        random.randrange(100),
    )
