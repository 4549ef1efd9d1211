"""Logs partitions that are stalled without an error: behind a transaction, or without an offset."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from service.entities.partition import Partition
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.handler.kafka.consumer.partitions.statistics import PartitionEnd


class StalledPartitions:
    """Compares the client's statistics with the previous ones."""

    def __init__(self, log: FilteringBoundLogger, now: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS, now)
        self._open_transactions: dict[Partition, int] = {}
        self._without_offset: frozenset[Partition] = frozenset()

    def on_statistics(
        self, ends: "dict[Partition, PartitionEnd]", assigned: frozenset[Partition], fetched: "Collection[Partition]"
    ) -> None:
        self._warn_of_transactions(
            {p: end for p, end in ends.items() if end.open_transaction_messages and p in assigned}
        )
        self._warn_of_missing_offsets(assigned.difference(fetched))

    def _warn_of_transactions(self, ends: "dict[Partition, PartitionEnd]") -> None:
        """Log transactions that were already open at the previous statistics."""
        open_transactions = {partition: end.stable for partition, end in ends.items()}
        lasting = {p for p, offset in open_transactions.items() if self._open_transactions.get(p) == offset}
        self._open_transactions = open_transactions
        if lasting and self._throttle.is_due("open transactions"):
            self._log.warning(
                "a producer's open transaction blocks the messages behind it",
                partitions=[*map(str, sorted(lasting))],
                messages=sum(ends[p].open_transaction_messages for p in lasting),
            )  # fmt: skip

    def _warn_of_missing_offsets(self, partitions: frozenset[Partition]) -> None:
        """Log partitions that already had no offset at the previous statistics. The client retries silently."""
        lasting = self._without_offset & partitions
        self._without_offset = partitions
        if lasting and self._throttle.is_due("missing offsets"):
            self._log.warning(
                "Kafka does not return the group's offsets: it is unreachable, or a transaction holds them",
                partitions=[*map(str, sorted(lasting))],
            )
