"""The brake: a bad release of a producer must not empty the topic into the dead-letter topic."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """When to stop, and how to find out whether the flood is over."""

    enabled: bool = True
    ratio: float = 0.5
    """More than this share of the last `window` messages is bad."""
    window: int = 1_000
    in_a_row: int = 1_000
    """So many bad messages without a good one between them."""
    refused_at_least: int = 10
    """A batch of at least this many orders of which PostgreSQL refuses every one."""


class Brake:
    """Judges messages in the order in which they came; for one thread."""

    def __init__(self, policy: BrakePolicy) -> None:
        self._policy = policy
        self._recent: deque[int] = deque(maxlen=policy.window)
        self._bad = 0
        self._in_a_row = 0
        self._refusing = False
        self.engaged = False

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
            self._engage()
        return problem

    def judge_refused(self, refused: int, orders: int) -> str | None:
        """Return why to stop if PostgreSQL refused every order of a batch: then the orders are not to blame."""
        least = 1 if self._refusing else self._policy.refused_at_least
        if not self._policy.enabled or refused < orders or orders < least:
            return None
        self._engage()
        self._refusing = True
        return f"PostgreSQL refused all {orders} orders of a batch"

    def _probe(self, verdicts: bytes | bytearray) -> None:
        self.engaged = sum(verdicts) > self._policy.ratio * len(verdicts)
        self._refusing = False

    def _count(self, verdicts: bytes | bytearray) -> str | None:
        if not self._bad and not any(verdicts):
            self._recent.extend(verdicts)
            return None
        return next(filter(None, map(self._count_one, verdicts)), None)

    def _count_one(self, bad: int) -> str | None:
        if len(self._recent) == self._policy.window:
            self._bad -= self._recent[0]
        self._recent.append(bad)
        self._bad += bad
        self._in_a_row = self._in_a_row + 1 if bad else 0
        if self._in_a_row >= self._policy.in_a_row:
            return f"{self._in_a_row} bad messages in a row"
        if len(self._recent) == self._policy.window and self._bad > self._policy.ratio * self._policy.window:
            return f"{self._bad} of the last {self._policy.window} messages are bad"
        return None

    def _engage(self) -> None:
        """From here on only what is tried counts, and after that what comes anew."""
        self.engaged = True
        self._recent.clear()
        self._bad = self._in_a_row = 0
