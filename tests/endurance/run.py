"""Runs generator and consumers, makes the faults happen, and takes samples."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Final

import psycopg

from generator.actual import GroupProgress, open_consumer, progress
from tests.endurance.faults import Servers, in_turn
from tests.endurance.members import Members
from tests.endurance.samples import Sample
from tests.faults.topics import create_topics
from tests.kit.processes import Service, started
from tests.kit.waiting import eventually, throughout

TOPIC: Final = "orders"
DEAD_LETTER_TOPIC: Final = "orders.dlq"
GROUP_ID: Final = "orders"
CONSUMERS: Final = 2
MAX_PAUSE_SECONDS: Final = 120.0
"""Longest time without a committed message."""


class Timer:
    """Is due every `seconds`, counted from the last time that it was due."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = monotonic()

    def is_due(self) -> bool:
        if monotonic() - self._since < self._seconds:
            return False
        self._since = monotonic()
        return True


class Run:
    """The processes of one run; their logs stay in `folder`."""

    def __init__(self, servers: Servers, folder: Path, running: ExitStack) -> None:
        self._servers = servers
        self._folder = folder
        self._running = running
        self._numbers = count()
        self._settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": servers.kafka.bootstrap_servers,
            "ORDERS_KAFKA__TOPIC": TOPIC,
            "ORDERS_KAFKA__DEAD_LETTER_TOPIC": DEAD_LETTER_TOPIC,
            "ORDERS_KAFKA__GROUP_ID": GROUP_ID,
            "ORDERS_POSTGRES__DSN": servers.postgres.dsn,
        }

    def prepare(self) -> None:
        """Create topics and tables."""
        create_topics(self._servers.kafka.bootstrap_servers, TOPIC, DEAD_LETTER_TOPIC)
        self.complete("migrate", within=60.0)

    def start(self, *arguments: str, **variables: str) -> Service:
        log = self._folder / f"{arguments[0]}-{next(self._numbers)}.log"
        return self._running.enter_context(started(arguments, self._settings | variables, log))

    def complete(self, *arguments: str, within: float) -> str:
        """Run a command, which must succeed, and return the end of its output."""
        command = self.start(*arguments)
        assert command.process.wait(within) == 0, command.tail()
        return command.tail()

    def samples(self, generator: Service, *, fault_timer: Timer, sample_timer: Timer) -> Iterator[Sample]:
        """Start the consumers, and yield samples until all messages are generated and committed."""
        members = Members(lambda: self.start("consumer"), CONSUMERS)
        began, reached, faults, seen = monotonic(), GroupProgress(0, 0), in_turn(), list[str]()
        while reached.lag or generator.process.poll() is None:
            throughout(members.all_run, 1.0, "every consumer runs")
            if fault_timer.is_due():
                fault = next(faults)
                fault.happen(self._servers, members)
                seen.append(fault.name)
            reached = self._advanced(reached)
            if sample_timer.is_due():
                yield self._sample(monotonic() - began, reached, members, tuple(seen))
                seen.clear()
        yield self._sample(monotonic() - began, reached, members, tuple(seen))

    def _advanced(self, before: GroupProgress) -> GroupProgress:
        """Wait until more messages are committed, or no message is left."""

        def advanced() -> GroupProgress | None:
            now = self._progress()
            return now if not now.lag or now.produced - now.lag > before.produced - before.lag else None

        reached = eventually(advanced, MAX_PAUSE_SECONDS, "more messages are committed")
        assert reached
        return reached

    def _progress(self) -> GroupProgress:
        with closing(open_consumer(self._servers.kafka.bootstrap_servers, GROUP_ID, {})) as reader:
            return progress(reader, TOPIC)

    def _sample(self, seconds: float, reached: GroupProgress, members: Members, faults: tuple[str, ...]) -> Sample:
        with psycopg.connect(self._servers.postgres.dsn) as connection:
            [(size,)] = connection.execute("SELECT pg_database_size(current_database())").fetchall()
        processed = reached.produced - reached.lag
        return Sample(seconds, reached.produced, processed, size, members.largest_bytes(), faults)
