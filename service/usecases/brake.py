"""The brake: a bad release of a producer, or of a schema, must not empty the topic into the dead-letter topic."""

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
    in_a_row: int = 1_000
    """So many bad messages without a good one between them."""
    refused_at_least: int = 10
    """So many orders that PostgreSQL refused since the last batch of which it stored one."""


class State(Enum):
    """What the next batch is for."""

    OFF = auto()
    FLOODED = auto()
    """Most messages were bad. The next batch is a trial, which passes whatever is in it."""
    REFUSING = auto()
    """PostgreSQL refused most orders. The next batch is a trial, of which nothing passes."""


class Brake:
    """Judges messages in the order in which they came; for one thread."""

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._policy = policy
        self._messages = _Window(policy)
        self._orders = _Window(policy)
        self._in_a_row = 0
        self._refused_since_stored = 0
        self._by_share = False
        self.state = State.OFF

    @property
    def engaged(self) -> bool:
        return self.state is not State.OFF

    def judge(self, verdicts: bytes | bytearray) -> str | None:
        """Return why to stop before these messages (1 is bad, 0 is good), or None where they may pass.

        Once engaged, each call is a trial: it passes, and the brake is released if no more than `ratio` of it is bad.
        """
        if not self._policy.enabled or not verdicts:
            return None
        if self.engaged:
            self._probe(verdicts)
            return None
        problem = self._count(verdicts)
        if problem:
            self._engage(State.FLOODED)
        return problem

    def judge_orders(self, outcomes: bytes | bytearray) -> str | None:
        """Return why to stop before the orders of a batch (1 was refused, 0 stored), or None where they may pass.

        An order that was neither, such as a redelivered one, proves nothing and is left out. Once refusals have engaged
        the brake, each call is a trial: one stored order shows that those which are refused are to blame themselves.
        """
        if not self._policy.enabled:
            return None
        problem = self._probe_orders(outcomes) if self.state is State.REFUSING else self._count_orders(outcomes)
        if problem:
            self._engage(State.REFUSING)
        return problem

    def _probe(self, verdicts: bytes | bytearray) -> None:
        if sum(verdicts) <= self._policy.ratio * len(verdicts):
            self.state = State.OFF

    def _count(self, verdicts: bytes | bytearray) -> str | None:
        if not self._messages.bad and not any(verdicts):
            self._messages.extend(verdicts)
            return None
        return next(filter(None, map(self._count_one, verdicts)), None)

    def _count_one(self, bad: int) -> str | None:
        self._in_a_row = self._in_a_row + 1 if bad else 0
        if self._in_a_row >= self._policy.in_a_row:
            return f"{self._in_a_row} bad messages in a row"
        if self._messages.add(bad):
            return f"{self._messages.bad} of the last {self._policy.window} messages are bad"
        return None

    def _probe_orders(self, outcomes: bytes | bytearray) -> str | None:
        refused, orders = sum(outcomes), len(outcomes)
        if refused < orders and (not self._by_share or refused <= self._policy.ratio * orders):
            self.state = State.OFF
            return None
        return f"PostgreSQL stored {orders - refused} of the orders that were tried, and refused {refused}"

    def _count_orders(self, outcomes: bytes | bytearray) -> str | None:
        refused = sum(outcomes)
        self._refused_since_stored = self._refused_since_stored + refused if refused == len(outcomes) else 0
        if self._refused_since_stored >= self._policy.refused_at_least:
            self._by_share = False
            return f"PostgreSQL refused the last {self._refused_since_stored} orders, and stored none between them"
        if not self._orders.bad and not refused:
            self._orders.extend(outcomes)
        elif any(self._orders.add(outcome) for outcome in outcomes):
            self._by_share = True
            return f"PostgreSQL refused more than {self._policy.ratio:.0%} of the last {self._policy.window} orders"
        return None

    def _engage(self, state: State) -> None:
        """From here on only what is tried counts, and after that what comes anew."""
        self.state = state
        self._messages, self._orders = _Window(self._policy), _Window(self._policy)
        self._in_a_row = self._refused_since_stored = 0


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
