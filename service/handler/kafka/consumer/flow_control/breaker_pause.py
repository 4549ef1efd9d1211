"""A pause of consumption by the circuit breaker."""

from dataclasses import dataclass
from time import monotonic

from service.entities.partition import Partition


@dataclass(slots=True)
class BreakerPause:
    """Messages that arrive during the pause are skipped, and read again afterwards."""

    until: float
    """A value of time.monotonic()."""
    reread_offsets: dict[Partition, int]
    """The offset, by partition, at which reading continues after the pause."""

    @property
    def is_over(self) -> bool:
        return monotonic() >= self.until

    def skip(self, partition: Partition, offset: int) -> None:
        """Skip a message that the client had prefetched before the pause."""
        self.reread_offsets.setdefault(partition, offset)

    def drop(self, partitions: frozenset[Partition]) -> None:
        for partition in partitions:
            self.reread_offsets.pop(partition, None)
