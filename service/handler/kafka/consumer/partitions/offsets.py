"""Commits offsets of finished batches without blocking."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.error_phrases import error_fields, remedy
from service.handler.kafka.client.partitions import partition_of
from service.handler.kafka.client.topic_id import offsets_to_commit
from service.handler.kafka.consumer.partitions.progress import Progress
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS, LogThrottle

if TYPE_CHECKING:
    from service.metrics import ConsumerMetrics

_RETRY_INTERVAL_SECONDS: Final = 0.5
_REPEAT_AFTER_SECONDS: Final = 60.0
"""How long after a failure all offsets are committed again."""


class OffsetCommitter:
    def __init__(
        self,
        *,
        group: ConsumerGroup,
        progress: Progress,
        metrics: "ConsumerMetrics",
        log: FilteringBoundLogger,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._group = group
        self._progress = progress
        self._metrics = metrics
        self._log = log
        self._now = now
        self._in_flight = False
        self._committed_at = 0.0
        self._retry_at = 0.0
        self._repeat_at: float | None = None
        self._throttle = LogThrottle(LOG_INTERVAL_SECONDS, now)

    def commit(self, client: Consumer) -> None:
        """Send a commit if none is in flight. The client answers in a later poll: see `on_commit`."""
        self._repeat_when_due()
        if self._progress.uncommitted and not self._in_flight and self._now() >= self._retry_at:
            self._send(client)

    def commit_now(self, client: Consumer) -> None:
        """Send a commit before partitions are revoked, which the client delays until the commit is answered.

        Does not block, because a frozen broker never answers.
        """
        if self._progress.uncommitted:
            try:
                self._send(client)
            except KafkaException as error:
                self._metrics.consumption.commit_failures.inc()
                self._log.warning("a commit failed while partitions were revoked", **error_fields(error.args[0]))

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Handle the broker's answer to a commit: a callback of the client."""
        self._metrics.batches.seconds.labels("commit").observe(self._now() - self._committed_at)
        self._in_flight = False
        for answer in partitions:
            if error is None and answer.error is None:
                self._progress.on_committed(partition_of(answer), answer.offset)
        failed = next((answer for answer in partitions if answer.error is not None), None)
        problem = failed.error if failed else error
        if problem is None:
            return
        self._retry_at = self._now() + _RETRY_INTERVAL_SECONDS
        self._repeat_at = self._now() + _REPEAT_AFTER_SECONDS
        self._metrics.consumption.commit_failures.inc()
        if self._throttle.is_due(problem.name()):
            self._log.warning(
                "a commit failed and will be retried",
                topic=failed and failed.topic,
                partition=failed and failed.partition,
                **error_fields(problem),
                hint=remedy(problem),
            )

    def _repeat_when_due(self) -> None:
        """Commit all offsets again: a commit that timed out may have reached the broker after later ones.

        Not in the transactional mode: offsets that the writing thread commits meanwhile would be overtaken.
        """
        if self._repeat_at is not None and self._now() >= self._repeat_at and not self._group.is_transactional:
            self._repeat_at = None
            self._progress.recommit()

    def _send(self, client: Consumer) -> None:
        progress = self._progress
        offsets = offsets_to_commit(progress.uncommitted, self._group.topic_ids, progress.leader_epochs)
        client.commit(offsets=offsets, asynchronous=True)
        self._in_flight, self._committed_at = True, self._now()
