"""Produces a scenario's messages while faults happen."""

from collections.abc import Iterable, Iterator
from threading import Thread
from typing import TYPE_CHECKING

from generator.expected import dead_letter_digest
from generator.produce import RateLimiter, Tally, open_producer, produce
from generator.stream import Message
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.entities.dead_letter import Reason

PRODUCER_PROPERTIES = {"message.timeout.ms": 40_000, "reconnect.backoff.max.ms": 1_000}
"""A bounded delivery timeout: some producers never recover after a restart of the broker. Delivered messages count."""


class BackgroundProducer:
    """Produces in a thread, and remembers why each invalid message is invalid."""

    def __init__(self, bootstrap_servers: str, topic: str, messages: Iterable[Message], rate: float) -> None:
        self.reasons: dict[bytes, Reason] = {}
        self.tally = Tally()
        self._rate = rate
        self._stop = ShutdownEvent()
        self._messages = messages
        self._thread = Thread(target=self._run, args=(bootstrap_servers, topic), daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, within: float) -> None:
        """Block until every message is acknowledged."""
        self._thread.join(within)
        assert self.is_done, f"the producer did not finish within {within:g} s"
        assert self.tally.complete, self.tally

    def stop(self) -> None:
        """Produce nothing more; does not block."""
        self._stop.set()

    def _run(self, bootstrap_servers: str, topic: str) -> None:
        producer = open_producer(bootstrap_servers, topic, PRODUCER_PROPERTIES, compress=True)
        limiter = RateLimiter(self._rate)
        messages = self._record_reasons()
        self.tally = produce(messages, producer, topic, limiter=limiter, stop=self._stop, on_progress=lambda _: None)

    def _record_reasons(self) -> Iterator[Message]:
        for message in self._messages:
            if message.reason is not None:
                self.reasons[dead_letter_digest(message.key, message.value)] = message.reason
            yield message
