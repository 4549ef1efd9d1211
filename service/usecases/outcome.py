"""The result of a batch, and what it means for the batch's offsets."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from service.entities.dead_letter import DeadLetter
from service.usecases.circuit_breaker import BreakerState
from service.usecases.ports.ingest import StoreCounts


class Decision(Enum):
    """What to do with the offsets of a batch."""

    COMMIT = auto()
    """Every order is stored and every dead letter is acknowledged."""
    HOLD_BACK = auto()
    """The circuit breaker is open: nothing of the batch was dead-lettered, and it must be read again."""
    REREAD = auto()
    """A probe showed that the database stores orders again: everything that was held back must be read again."""


class StoreState(Enum):
    """What the last call for a batch showed about the store."""

    NOT_CALLED = auto()
    """The batch has no order, or only orders of revoked partitions."""
    AVAILABLE = auto()
    """The store stored orders, or rejected one."""
    UNAVAILABLE = auto()
    """The retries were given up."""


class Outcome(NamedTuple):
    """The result of a batch."""

    counts: StoreCounts
    dead_letters: Sequence[DeadLetter] = ()
    decision: Decision = Decision.COMMIT
    is_committed: bool = False
    """Whether the offsets were committed together with the dead letters."""
    breaker: BreakerState = BreakerState.CLOSED
    """The state of the circuit breaker after this batch."""
    problem: str = ""
    """Why the batch is held back; empty if it is not."""
    store: StoreState = StoreState.NOT_CALLED
