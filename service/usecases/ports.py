"""What the use cases need of the outside, said in their own words."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from service.entities.dead_letter import DeadLetter
from service.entities.version import Sourced


class Stored(NamedTuple):
    """How many orders of one transaction were new, replaced, unchanged and stale."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    stale: int = 0

    def __add__(self, other: object) -> "Stored":
        if not isinstance(other, Stored):
            return NotImplemented
        return Stored(*(mine + its for mine, its in zip(self, other, strict=True)))


class OrderStore(Protocol):
    def store(self, orders: Sequence[Sourced]) -> Stored:
        """Store orders in one transaction; the greatest version of an id wins.

        Blocks for at most the statement timeout and a little. Raises OrderRefused, StatementTimedOut or
        StorageUnavailable; nothing is stored then.
        """


class DeadLetters(Protocol):
    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Block until every letter is acknowledged by the dead-letter topic.

        Raises DeadLettersUnavailable with those that were not, and Stopped.
        """
