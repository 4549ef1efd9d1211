"""A circuit breaker: a bad release of a producer, or of a schema, must not drain the topic into the dead letters."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class CircuitBreakerPolicy:
    """When to stop, and how to find out whether the flood is over."""

    enabled: bool = True
    ratio: float = 0.5
    """More than this share of the last `window` messages is bad, or of the last `window` orders refused."""
    window: int = 1_000
    max_consecutive: int = 1_000
    """So many bad messages without a good one between them."""
    min_rejected: int = 10
    """So many orders that PostgreSQL refused since the last batch of which it stored one."""


class State(Enum):
    """What the next batch is for."""

    CLOSED = auto()
    OPEN_FOR_MESSAGES = auto()
    """Most messages were bad. The next batch is a trial, which passes whatever is in it."""
    OPEN_FOR_ORDERS = auto()
    """PostgreSQL refused most orders. The next batch is a trial, of which nothing passes."""


class CircuitBreaker:
    """Judges messages in the order in which they came; for one thread."""

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._policy = policy
        self._messages = _Window(policy)
        self._orders = _Window(policy)
        self._consecutive = 0
        self._rejected_since_stored = 0
        self._by_share = False
        self.state = State.CLOSED

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    def evaluate(self, outcomes: bytes | bytearray) -> str | None:
        """Return why to stop before these messages (1 is bad, 0 is good), or None where they may pass.

        Once open, each call is a trial: it passes, and the circuit breaker closes if no more than `ratio` of it is bad.
        """
        if not self._policy.enabled or not outcomes:
            return None
        if self.is_open:
            self._probe(outcomes)
            return None
        problem = self._count(outcomes)
        if problem:
            self._open(State.OPEN_FOR_MESSAGES)
        return problem

    def evaluate_orders(self, outcomes: bytes | bytearray) -> str | None:
        """Return why to stop before the orders of a batch (1 was refused, 0 stored), or None where they may pass.

        An order that was neither, such as a redelivered one, proves nothing and is left out. Once refusals have opened
        the circuit breaker, each call is a probe: one stored order shows that the rejected ones are at fault.
        """
        if not self._policy.enabled:
            return None
        problem = self._probe_orders(outcomes) if self.state is State.OPEN_FOR_ORDERS else self._count_orders(outcomes)
        if problem:
            self._open(State.OPEN_FOR_ORDERS)
        return problem

    def _probe(self, outcomes: bytes | bytearray) -> None:
        if sum(outcomes) <= self._policy.ratio * len(outcomes):
            self.state = State.CLOSED

    def _count(self, outcomes: bytes | bytearray) -> str | None:
        if not self._messages.bad and not any(outcomes):
            self._messages.extend(outcomes)
            return None
        return next(filter(None, map(self._count_one, outcomes)), None)

    def _count_one(self, bad: int) -> str | None:
        self._consecutive = self._consecutive + 1 if bad else 0
        if self._consecutive >= self._policy.max_consecutive:
            return f"{self._consecutive} bad messages in a row"
        if self._messages.add(bad):
            return f"{self._messages.bad} of the last {self._policy.window} messages are bad"
        return None

    def _probe_orders(self, outcomes: bytes | bytearray) -> str | None:
        refused, orders = sum(outcomes), len(outcomes)
        if refused < orders and (not self._by_share or refused <= self._policy.ratio * orders):
            self.state = State.CLOSED
            return None
        return f"PostgreSQL stored {orders - refused} of the orders that were tried, and refused {refused}"

    def _count_orders(self, outcomes: bytes | bytearray) -> str | None:
        refused = sum(outcomes)
        self._rejected_since_stored = self._rejected_since_stored + refused if refused == len(outcomes) else 0
        if self._rejected_since_stored >= self._policy.min_rejected:
            self._by_share = False
            return f"PostgreSQL refused the last {self._rejected_since_stored} orders, and stored none between them"
        if not self._orders.bad and not refused:
            self._orders.extend(outcomes)
        elif any(self._orders.add(outcome) for outcome in outcomes):
            self._by_share = True
            return f"PostgreSQL refused more than {self._policy.ratio:.0%} of the last {self._policy.window} orders"
        return None

    def _open(self, state: State) -> None:
        """From here on only what is tried counts, and after that what comes anew."""
        self.state = state
        self._messages, self._orders = _Window(self._policy), _Window(self._policy)
        self._consecutive = self._rejected_since_stored = 0


class _Window:
    """The last so many, and how many of them are bad."""

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._most = policy.ratio * policy.window
        self._last: deque[int] = deque(maxlen=policy.window)
        self.bad = 0

    def extend(self, good: bytes | bytearray) -> None:
        self._last.extend(good)

    def add(self, bad: int) -> bool:
        """Tell whether too many are bad; only a whole window is judged."""
        if len(self._last) == self._last.maxlen:
            self.bad -= self._last[0]
        self._last.append(bad)
        self.bad += bad
        return len(self._last) == self._last.maxlen and self.bad > self._most
