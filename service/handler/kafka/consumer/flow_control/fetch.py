"""Pauses and resumes fetching: during an outage polling continues, without new messages."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from structlog.typing import FilteringBoundLogger

if TYPE_CHECKING:
    from service.metrics import ConsumptionMetrics


class FetchControl:
    """A pause discards what the client has prefetched."""

    def __init__(
        self,
        client: Consumer,
        metrics: "ConsumptionMetrics",
        log: FilteringBoundLogger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._log = log
        self._now = now
        self._paused_since: float | None = None
        self._counted_until = 0.0

    @property
    def is_paused(self) -> bool:
        return self._paused_since is not None

    def pause(self) -> None:
        if self._paused_since is None:
            self._client.pause(self._client.assignment())
            self._paused_since = self._counted_until = self._now()
            self._log.warning("fetching is paused")

    def resume(self) -> None:
        if self._paused_since is not None:
            self._client.resume(self._client.assignment())
            self.count_paused_time()
            seconds, self._paused_since = self._now() - self._paused_since, None
            self._log.info("fetching is resumed", paused_seconds=round(seconds, 1))

    def count_paused_time(self) -> None:
        """Add the time of the pause since the last call to the metric."""
        if self._paused_since is not None:
            now = self._now()
            self._metrics.paused_seconds.inc(now - self._counted_until)
            self._counted_until = now

    def apply(self, partitions: list[TopicPartition]) -> None:
        """Pause or resume newly assigned partitions like the others.

        A partition that was paused when it was revoked is still paused when it is assigned again.
        """
        if self.is_paused:
            self._client.pause(partitions)
        else:
            self._client.resume(partitions)
