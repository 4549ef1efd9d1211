"""What a seed stands for: how the API reaches PostgreSQL, its settings, the requests and the faults."""

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

FAULTS_FROM_SECONDS: Final = 1.0
FAULTS_UNTIL_SECONDS: Final = 6.0
MAX_FAULTS: Final = 4
UIDS: Final = 12
LARGE_CACHE: Final = 100


class Layout(Enum):
    """What `ORDERS_POSTGRES__DSN` and `ORDERS_POSTGRES__LISTEN_DSN` lead to."""

    DIRECT = "one address"
    SEPARATE = "two addresses of the primary"
    STANDBY = "reads from a standby, LISTEN on the primary"
    POOLER = "a pooler in transaction mode only"
    POOLER_AND_DIRECT = "reads through a pooler, LISTEN on the primary"
    SEVERAL = "LISTEN on two primaries"
    ONLY_STANDBY = "a standby only"

    @property
    def caches(self) -> bool:
        """Whether notifications can arrive."""
        return self not in {Layout.POOLER, Layout.ONLY_STANDBY}

    @property
    def has_standby(self) -> bool:
        return self in {Layout.STANDBY, Layout.ONLY_STANDBY}


class FaultKind(Enum):
    __hash__ = object.__hash__  # that of Enum takes long

    RESTART = "PostgreSQL restarts"
    FROZEN = "PostgreSQL is frozen"
    SLOW = "statements are slow"
    READS_UNREACHABLE = "the address for reads is unreachable"
    LISTEN_UNREACHABLE = "an address for LISTEN is unreachable"
    LISTEN_REFUSED = "an address for LISTEN refuses connections"
    LISTEN_LOGIN_REFUSED = "an address for LISTEN refuses the password"
    LISTEN_HALF_OPEN = "the connections for LISTEN are half-open"
    READS_HALF_OPEN = "the connections for reads are half-open"
    ALL_HALF_OPEN = "all connections are half-open"
    LISTEN_RESET = "the connections for LISTEN are reset"
    ALL_RESET = "all connections are reset"
    STANDBY_LAGS = "the standby lags"
    STANDBY_CONFLICTS = "the standby cancels statements"
    FAIL_OVER = "the standby is promoted"
    SUSPENDED = "the API is suspended"


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    at: float
    seconds: float
    target: int
    """Selects an address, or how slow statements are."""

    def __str__(self) -> str:
        return f"{self.at:.1f} s: {self.kind.value} ({self.seconds:.1f} s, target {self.target})"


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    layout: Layout
    heartbeat: float
    max_stale: float | None
    max_entries: int
    warm_up_size: int
    pool_size: int
    statement_timeout: float
    replay_lag: float
    clients: int
    commits_per_second: float
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return (
            f"{self.layout.value}, heartbeat {self.heartbeat:g} s, max_stale {self.max_stale}, "
            f"{self.max_entries} entries, warm-up {self.warm_up_size}, {self.pool_size} connections, "
            f"statement timeout {self.statement_timeout:g} s, replay lag {self.replay_lag:g} s, {self.clients} clients"
        )


def plan_of(seed: int) -> Plan:
    random = Random(f"API {seed}")  # noqa: S311 - must be reproducible
    return Plan(
        seed=seed,
        layout=random.choice([*Layout]),
        heartbeat=random.choice((0.5, 0.5, 0.25)),
        max_stale=random.choice((None, None, 1.5, 3.0)),
        max_entries=random.choice((UIDS // 2, LARGE_CACHE, LARGE_CACHE)),
        warm_up_size=random.choice((0, UIDS // 3, LARGE_CACHE)),
        pool_size=random.choice((1, 2, 4)),
        statement_timeout=random.choice((1.0, 2.0)),
        replay_lag=random.choice((0.01, 0.2, 1.0)),
        clients=random.randint(1, 3),
        commits_per_second=random.choice((0.5, 2.0, 6.0)),
        faults=tuple(_fault(random) for _ in range(random.randint(0, MAX_FAULTS))),
    )


def _fault(random: Random) -> Fault:
    return Fault(
        random.choice([*FaultKind]),
        random.uniform(FAULTS_FROM_SECONDS, FAULTS_UNTIL_SECONDS),
        random.choice((0.1, 0.5, 1.5, 4.0)) * random.uniform(0.5, 1.2),
        random.randrange(100),
    )
