"""One call for several requests that follow each other closely."""

import asyncio
from collections.abc import Callable


class CoalescedCall:
    """Belongs to one event loop. `call` runs soon after the first request, then at most once per `interval` seconds."""

    def __init__(self, call: Callable[[], None], interval: float) -> None:
        self._call = call
        self._interval = interval
        self._may_run_at = 0.0
        self._scheduled: asyncio.Handle | None = None

    def request(self) -> None:
        """Run `call`, once for all requests since it ran last. It runs after the caller has returned."""
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            is_due = loop.time() >= self._may_run_at
            self._scheduled = loop.call_soon(self._run) if is_due else loop.call_at(self._may_run_at, self._run)

    def cancel(self) -> None:
        """Drop a request whose call has not run yet."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _run(self) -> None:
        self._scheduled = None
        self._may_run_at = asyncio.get_running_loop().time() + self._interval
        self._call()
