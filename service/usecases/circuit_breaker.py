"""A circuit breaker: a faulty producer or schema release must not move the whole topic to the dead-letter topic."""

from collections import deque
from enum import Enum, auto

from service.usecases.ports.ingest import CircuitBreakerPolicy


class BreakerState(Enum):
    """Whether the circuit breaker is open, and why. While it is open, each batch is a probe."""

    CLOSED = auto()
    OPEN_FOR_MESSAGES = auto()
    """Most messages were bad. The probe's dead letters are sent."""
    OPEN_FOR_ALL_ORDERS = auto()
    """The database rejected orders and stored none. One stored order closes the circuit breaker."""
    OPEN_FOR_MOST_ORDERS = auto()
    """The database rejected most orders, and stored some. A probe with at most `ratio` of them rejected closes it."""

    @property
    def is_for_orders(self) -> bool:
        """Whether none of a probe's dead letters is sent."""
        return self in {BreakerState.OPEN_FOR_ALL_ORDERS, BreakerState.OPEN_FOR_MOST_ORDERS}


class CircuitBreaker:
    """Evaluates messages in the order in which they were consumed. Not thread-safe."""

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._policy = policy
        self.state = BreakerState.CLOSED
        self._reset()

    def _reset(self) -> None:
        self._messages, self._orders = _Window(self._policy), _Window(self._policy)
        self._consecutive = 0
        self._rejected_since_stored = 0
        self._rejected_in_round = 0
        """By the probes since the last one that started over."""

    @property
    def is_open(self) -> bool:
        return self.state is not BreakerState.CLOSED

    def evaluate_messages(self, flags: bytes | bytearray) -> str | None:
        """Return why these messages (1 is bad, 0 is good) open the circuit breaker, or None if they do not.

        While open, each call is a probe: the circuit breaker closes if at most `ratio` of the messages is bad.
        """
        if not self._policy.enabled or not flags:
            return None
        if self.is_open:
            self._probe(flags)
            return None
        problem = self._count(flags)
        return self._open(BreakerState.OPEN_FOR_MESSAGES, problem) if problem else None

    def evaluate_orders(self, flags: bytes | bytearray, *, starts_over: bool = False) -> str | None:
        """Return why these orders (1 was rejected, 0 stored) open the circuit breaker, or None if they do not.

        The caller omits orders that were neither, such as redelivered ones. While rejections keep the circuit breaker
        open, each call is a probe. `starts_over`: the probes before it have tried all orders that are held back.
        """
        if not self._policy.enabled:
            return None
        return (
            self._probe_orders(flags, starts_over=starts_over)
            if self.state.is_for_orders
            else self._count_orders(flags)
        )

    def _probe(self, flags: bytes | bytearray) -> None:
        if sum(flags) <= self._policy.ratio * len(flags):
            self.state = BreakerState.CLOSED

    def _count(self, flags: bytes | bytearray) -> str | None:
        if not self._messages.bad and not any(flags):
            self._messages.extend(flags)
            return None
        return next(filter(None, map(self._count_one, flags)), None)

    def _count_one(self, bad: int) -> str | None:
        self._consecutive = self._consecutive + 1 if bad else 0
        if self._consecutive >= self._policy.max_consecutive:
            return f"{self._consecutive} consecutive messages are bad"
        if self._messages.add(bad):
            return f"{self._messages.bad} of the last {self._policy.window} messages are bad"
        return None

    def _probe_orders(self, flags: bytes | bytearray, *, starts_over: bool) -> str | None:
        """Close the circuit breaker if orders are stored, or if none is left to store."""
        rejected, orders = sum(flags), len(flags)
        is_any_left = not starts_over or self._rejected_in_round + rejected > 0
        self._rejected_in_round = rejected if starts_over else self._rejected_in_round + rejected
        is_rejecting_most = self.state is BreakerState.OPEN_FOR_MOST_ORDERS and rejected > self._policy.ratio * orders
        if not is_any_left or (rejected < orders and not is_rejecting_most):
            self.state = BreakerState.CLOSED
            return None
        return f"the database stored {orders - rejected} of the probed orders and rejected {rejected}"

    def _count_orders(self, flags: bytes | bytearray) -> str | None:
        rejected = sum(flags)
        self._rejected_since_stored = self._rejected_since_stored + rejected if rejected == len(flags) else 0
        if self._rejected_since_stored >= self._policy.min_rejected:
            return self._open(
                BreakerState.OPEN_FOR_ALL_ORDERS,
                f"the database rejected the last {self._rejected_since_stored} orders and stored none between them",
            )
        if not self._orders.bad and not rejected:
            self._orders.extend(flags)
        elif any(self._orders.add(flag) for flag in flags):
            return self._open(
                BreakerState.OPEN_FOR_MOST_ORDERS,
                f"the database rejected more than {self._policy.ratio:.0%} of the last {self._policy.window} orders",
            )
        return None

    def _open(self, state: BreakerState, problem: str) -> str:
        """Change the state, and reset the counts: from now on, only the probes count. Return the problem."""
        self.state = state
        self._reset()
        return problem


class _Window:
    """A sliding window of flags (1 is bad, 0 is good), and the number of bad ones."""

    def __init__(self, policy: CircuitBreakerPolicy) -> None:
        self._max_bad = policy.ratio * policy.window
        self._flags: deque[int] = deque(maxlen=policy.window)
        self.bad = 0

    def extend(self, good: bytes | bytearray) -> None:
        self._flags.extend(good)

    def add(self, bad: int) -> bool:
        """Return whether too many are bad. Only a full window counts."""
        if len(self._flags) == self._flags.maxlen:
            self.bad -= self._flags[0]
        self._flags.append(bad)
        self.bad += bad
        return len(self._flags) == self._flags.maxlen and self.bad > self._max_bad
