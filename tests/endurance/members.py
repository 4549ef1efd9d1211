"""The consumers of an endurance run. A consumer that was killed is replaced."""

import signal
from collections.abc import Callable

from bench.usage import resident_bytes
from tests.kit.processes import Service
from tests.kit.waiting import throughout


class Members:
    """`start` runs one more consumer."""

    def __init__(self, start: Callable[[], Service], count: int) -> None:
        self._start = start
        self._running = [start() for _ in range(count)]

    def all_run(self) -> bool:
        return all(member.process.poll() is None for member in self._running)

    def largest_bytes(self) -> int:
        """Return the resident memory of the largest consumer."""
        return max(resident_bytes(member.process.pid) for member in self._running)

    def kill_one(self) -> None:
        """Kill the oldest consumer, and start another."""
        self._running.pop(0).kill()
        self._running.append(self._start())

    def restart_one(self) -> None:
        """Stop the oldest consumer, which must exit with 0, and start another."""
        oldest = self._running.pop(0)
        assert oldest.stop() == 0, oldest.tail()
        self._running.append(self._start())

    def suspend_one(self, seconds: float) -> None:
        """Suspend the oldest consumer: the group removes it, and it joins again."""
        oldest = self._running[0]
        oldest.process.send_signal(signal.SIGSTOP)
        try:
            throughout(self.all_run, seconds, "every consumer runs")
        finally:
            oldest.process.send_signal(signal.SIGCONT)
