"""The thread that writes one batch while the next one is read."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from service.usecases.batch import Batch
from service.usecases.ingest import Outcome


class Finished(NamedTuple):
    """A batch that was written, with its outcome or the error that ended it."""

    batch: Batch
    outcome: Outcome | None
    error: BaseException | None
    seconds: float


class BatchWorker:
    """Takes one batch at a time. All methods are for the reading thread; only `wait_finished` and `close` block."""

    def __init__(self, ingest: Callable[[Batch], Outcome]) -> None:
        self._ingest = ingest
        self._changed = threading.Condition()
        self._batch: Batch | None = None
        self._finished: Finished | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    @property
    def is_free(self) -> bool:
        """Whether a batch can be submitted: the last one has finished and was taken."""
        return self._batch is None and self._finished is None

    @property
    def batch(self) -> Batch | None:
        """The batch that was submitted and not taken yet, whether it has finished or not."""
        with self._changed:
            return self._finished.batch if self._finished else self._batch

    def submit(self, batch: Batch) -> None:
        with self._changed:
            self._batch = batch
            self._changed.notify_all()

    def wait_finished(self, seconds: float) -> bool:
        """Block until the batch has finished, for at most `seconds`; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._finished is not None, seconds)

    def take_finished(self) -> Finished | None:
        with self._changed:
            finished, self._finished = self._finished, None
            return finished

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
                self._batch, self._finished = None, Finished(batch, outcome, error, monotonic() - began)
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._batch is not None or self._closing)
            return self._batch

    def _attempt(self, batch: Batch) -> tuple[Outcome | None, BaseException | None]:
        try:
            return self._ingest(batch), None
        except BaseException as error:  # noqa: BLE001 - the reading thread decides what it means
            return None, error
