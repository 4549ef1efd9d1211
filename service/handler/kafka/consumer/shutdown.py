"""Stops a consumer: it drains, then it leaves the group."""

from dataclasses import dataclass
from time import monotonic
from typing import Final

from confluent_kafka import Consumer, KafkaException
from structlog.typing import FilteringBoundLogger

from service.handler.kafka.client.error_phrases import error_fields
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.pkg.run_with_timeout import run_with_timeout

DRAIN_TIMEOUT_SECONDS: Final = 20.0
"""How long a shutdown waits for the batch that is being written."""
LAST_COMMIT_TIMEOUT_SECONDS: Final = 5.0
"""How long a shutdown waits for the broker to acknowledge the last commit."""
LEAVE_TIMEOUT_SECONDS: Final = 6.0
"""How long leaving the group may take: the client gives up after 5 s if the broker does not answer."""
WORKER_CLOSE_TIMEOUT_SECONDS: Final = 1.0
"""How long the writing thread may take to end before the group is left without it."""
_POLL_SECONDS: Final = 0.1
"""How long a poll blocks that waits for the answer to a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    client: Consumer
    pipeline: BatchPipeline
    progress: Progress
    offsets: OffsetCommitter
    log: FilteringBoundLogger

    def drain(self) -> None:
        """Wait for a running transaction, commit it, and poll until the broker has acknowledged the commit."""
        self.client.pause(self.client.assignment())
        uncommitted = self.pipeline.drain(DRAIN_TIMEOUT_SECONDS)
        self._commit_last()
        self.log.info("drained", committed=self.progress.is_committed and not uncommitted, uncommitted=uncommitted)

    def leave(self) -> None:
        """End the writing thread, and leave the group: other members then get the partitions immediately."""
        self.pipeline.close(WORKER_CLOSE_TIMEOUT_SECONDS)
        try:
            run_with_timeout(LEAVE_TIMEOUT_SECONDS, self.client.close)
        except TimeoutError:
            self.log.warning("leaving the group timed out: Kafka removes the member when its session times out")
        except KafkaException as error:
            self.log.warning(
                "leaving the group failed: Kafka removes the member when its session times out",
                **error_fields(error.args[0]),
            )

    def _commit_last(self) -> None:
        deadline = monotonic() + LAST_COMMIT_TIMEOUT_SECONDS
        while self.progress.uncommitted and monotonic() < deadline:
            self.offsets.commit(self.client)
            self.client.consume(1, _POLL_SECONDS)
        self.progress.abandon()
