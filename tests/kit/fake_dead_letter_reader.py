"""A fake DeadLetterReader; `tests/integration/test_browse.py` runs the same contract on it and on the real one."""

from collections import defaultdict
from heapq import merge
from time import time

from service.entities.dead_letter_record import DeadLetterRecord
from service.errors import KafkaUnavailable
from service.pkg.timestamps import to_milliseconds
from service.usecases.dead_letter_counts import Arrival, count
from service.usecases.dead_letter_filters import matches
from service.usecases.ports.dead_letters import ArrivalCounts, CountsQuery, DeadLetterPage, DeadLetterQuery


class FakeDeadLetterReader:
    """A dead-letter topic in memory, which records the queries. While `is_unreachable`, every call fails."""

    def __init__(self, max_bytes: int = 16 * 2**10) -> None:
        self.max_bytes = max_bytes
        self.is_unreachable = False
        self.counted_since_ms = 0
        """Counts are incomplete before this time."""
        self.queries: list[DeadLetterQuery] = []
        self.counts_queries: list[CountsQuery] = []
        self._partitions: dict[int, list[DeadLetterRecord]] = defaultdict(list)

    def store(self, *dead_letters: DeadLetterRecord) -> None:
        """Append dead letters in the order of their offsets."""
        for dead_letter in dead_letters:
            self._partitions[dead_letter.partition].append(dead_letter)

    def end(self, partition: int) -> int:
        """Return the offset of the next dead letter in this partition."""
        return self._partitions[partition][-1].offset + 1 if self._partitions[partition] else 0

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        self.queries.append(query)
        self._require_reachable()
        before, matching = self._positions(query), list[DeadLetterRecord]()
        for dead_letter in self._newest_first(before):
            if len(matching) == query.limit:
                break
            before[dead_letter.partition] = dead_letter.offset
            if matches(query.filters, dead_letter):
                matching.append(dead_letter)
        older = {partition: at for partition, at in before.items() if at > self._partitions[partition][0].offset}
        return DeadLetterPage([each.excerpt(self.max_bytes) for each in matching], older or None)

    async def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        self._require_reachable()
        return next((each for each in self._partitions[partition] if each.offset == offset), None)

    async def counts(self, query: CountsQuery) -> ArrivalCounts:
        self.counts_queries.append(query)
        self._require_reachable()
        arrivals = [Arrival.of(each) for stored in self._partitions.values() for each in stored]
        since_ms, until_ms = to_milliseconds(query.since), round(time() * 1_000)
        counted_since_ms = max(since_ms, self.counted_since_ms)
        return count(arrivals, query, counted_since_ms=counted_since_ms, until_ms=until_ms)

    def _require_reachable(self) -> None:
        if self.is_unreachable:
            raise KafkaUnavailable("unreachable")

    def _positions(self, query: DeadLetterQuery) -> dict[int, int]:
        ends = {partition: self.end(partition) for partition, stored in self._partitions.items() if stored}
        if query.before is None:
            return ends
        return {partition: min(query.before.get(partition, 0), end) for partition, end in ends.items()}

    def _newest_first(self, before: dict[int, int]) -> list[DeadLetterRecord]:
        older = (
            [each for each in reversed(self._partitions[partition]) if each.offset < at]
            for partition, at in before.items()
        )
        return [*merge(*older, key=lambda each: each.timestamp_ms, reverse=True)]
