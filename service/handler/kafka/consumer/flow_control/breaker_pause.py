"""A pause of consumption by the circuit breaker."""

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

from confluent_kafka import Message


@dataclass(slots=True)
class BreakerPause:
    """Messages that arrive during the pause are skipped, and read again afterwards."""

    until: float
    """A value of time.monotonic()."""
    reread_offsets: dict[int, int]
    """The offset, by partition, at which reading continues after the pause."""

    @property
    def is_over(self) -> bool:
        return monotonic() >= self.until

    def skip(self, messages: Iterable[Message]) -> None:
        """Skip messages that the client had prefetched before the pause."""
        for message in messages:
            self.reread_offsets.setdefault(message.partition() or 0, message.offset() or 0)

    def forget(self, partitions: frozenset[int]) -> None:
        for partition in partitions:
            self.reread_offsets.pop(partition, None)
