"""The thread that writes one batch while the next one is read."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from service.entities.partition import Partition
from service.usecases.batch import Batch
from service.usecases.outcome import Decision, Outcome


class BatchResult(NamedTuple):
    """A batch, with the outcome of its ingest or the error that ended it."""

    batch: Batch
    outcome: Outcome | None
    error: BaseException | None
    seconds: float

    @property
    def may_commit(self) -> bool:
        """Whether everything is stored or dead-lettered."""
        return self.outcome is not None and self.outcome.decision is Decision.COMMIT


class BatchWorker:
    """Writes one batch at a time, from `start` to `close`.

    The reading thread calls all methods; only `wait_finished`, `wait_written` and `close` block.
    """

    def __init__(self, ingest: Callable[[Batch], Outcome], is_waiting_to_retry: threading.Event) -> None:
        self._ingest = ingest
        self._is_waiting_to_retry = is_waiting_to_retry
        self._changed = threading.Condition()
        self._slot: Batch | BatchResult | None = None
        """The submitted batch, then its result until that is taken. One attribute, so that no state is between them."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_free(self) -> bool:
        """Whether a batch can be submitted: the result of the last one was taken."""
        return self._slot is None

    @property
    def batch(self) -> Batch | None:
        """The submitted batch, until its result is taken."""
        slot = self._slot
        return slot.batch if isinstance(slot, BatchResult) else slot

    def submit(self, batch: Batch) -> None:
        """Start writing a batch. Raises ValueError unless the worker is free: an error must not be overwritten."""
        with self._changed:
            if self._slot is not None:
                raise ValueError("the result of the last batch was not taken")
            self._slot = batch
            self._changed.notify_all()

    def wait_finished(self, seconds: float) -> bool:
        """Block until the batch has finished, for at most `seconds`; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: isinstance(self._slot, BatchResult), seconds)

    def wait_written(self, partitions: frozenset[Partition], seconds: float) -> None:
        """Block while a transaction with orders of these partitions runs, but not while it waits for a retry.

        Return at once after `close`, which has waited.
        """
        batch = self.batch
        if batch is None or self._closing or self._is_waiting_to_retry.is_set():
            return
        if partitions & batch.next_offsets.keys():
            self.wait_finished(seconds)

    def take_result(self) -> BatchResult | None:
        """Return the result of the batch, once; None while it is written."""
        with self._changed:
            slot = self._slot
            if not isinstance(slot, BatchResult):
                return None
            self._slot = None
            return slot

    def close(self, seconds: float) -> None:
        """End the thread after its batch; block for at most `seconds`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            began = monotonic()
            outcome, error = self._attempt(batch)
            with self._changed:
                self._slot = BatchResult(batch, outcome, error, monotonic() - began)
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        """Block until a batch is submitted; return None if the worker is closed and has none."""
        with self._changed:
            self._changed.wait_for(lambda: isinstance(self._slot, Batch) or self._closing)
            return self._slot if isinstance(self._slot, Batch) else None

    def _attempt(self, batch: Batch) -> tuple[Outcome | None, BaseException | None]:
        try:
            return self._ingest(batch), None
        except BaseException as error:  # noqa: BLE001 - the reading thread decides what it means
            return None, error
