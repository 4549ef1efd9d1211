"""A simulated PostgreSQL: servers, addresses that lead to them, and a pooler in transaction mode.

What it does with notifications: a server delivers one after the commit, in the order of commits, to each session that
had executed LISTEN before, and in the middle of a transaction only after its end.
"""

import struct
from collections.abc import Callable, Generator, Sequence
from itertools import count
from random import Random
from typing import Final

from tests.simulation.api.clock import Clock
from tests.simulation.api.statements import CHANNEL, Backend
from tests.simulation.api.wal import Commit, Copy

MAX_LATENCY_SECONDS: Final = 0.002
MAX_STATEMENT_SECONDS: Final = 0.003
POOLER_SESSIONS: Final = 3
FIRST_PID: Final = 1_000


class World:
    """What all servers share."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.pids = count(FIRST_PID)


class Session:
    """A server's end of a connection. With a pooler, clients take turns."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.pid = next(server.world.pids)
        self.channels: set[str] = set()
        self.prepared: dict[bytes, str] = {}
        self.on_notify: Callable[[int, str, str], None] | None = None
        """Of the client that uses the session; None: no client does, and notifications are lost."""
        server.sessions.append(self)

    def close(self) -> None:
        if self in self.server.sessions:
            self.server.sessions.remove(self)

    @property
    def backend(self) -> Backend:
        server = self.server
        return Backend(self.pid, server.copy, server.database, server.is_standby)


class Server:
    def __init__(self, world: World, database: str, *, is_standby: bool = False) -> None:
        self.world = world
        self.database = database
        self.is_standby = is_standby
        self.copy = Copy()
        self.sessions: list[Session] = []
        self.is_running = True
        self.frozen_until = 0.0
        self.slow_until = 0.0
        self.slow_seconds = 0.0
        self.conflicts_until = 0.0
        """Until when a standby cancels statements, because they conflict with the recovery."""

    def notify(self, pid: int, channel: str, payload: str) -> None:
        for session in self.sessions:
            if channel in session.channels and session.on_notify:
                session.on_notify(pid, channel, payload)

    def statement_seconds(self) -> float:
        """Return how long the next statement takes."""
        world = self.world
        is_slow = world.clock.now < self.slow_until
        return world.random.random() * (self.slow_seconds if is_slow else MAX_STATEMENT_SECONDS)

    def conflicts(self) -> bool:
        return self.world.clock.now < self.conflicts_until and self.world.random.random() < 0.5


class Standby:
    """Replays the commits of a primary, later."""

    def __init__(self, server: Server, lag_seconds: float) -> None:
        self.server = server
        self.lag_seconds = lag_seconds
        self._paused_until = 0.0
        self._last = 0.0
        self._left: list[Commit] = []

    def add(self, commit: Commit) -> None:
        clock = self.server.world.clock
        lag = self.lag_seconds * self.server.world.random.random()
        self._last = max(self._last, clock.now + lag, self._paused_until)
        self._left.append(commit)
        clock.call_at(self._last, self._replay)

    def _replay(self) -> None:
        """Replay the next commit, unless a promotion has."""
        clock = self.server.world.clock
        if clock.now < self._paused_until:
            clock.call_at(self._paused_until, self._replay)
        elif self._left:
            self.server.copy.apply(self._left.pop(0), clock.now)

    def pause(self, seconds: float) -> None:
        self._paused_until = self.server.world.clock.now + seconds

    def promote(self) -> None:
        """Replay everything, and become the primary."""
        while self._left:
            self.server.copy.apply(self._left.pop(0), self.server.world.clock.now)
        self.server.is_standby = False


class Pooler:
    """Lends a session for a transaction, the last used one first."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: list[Session] = []
        self._all: list[Session] = []

    def acquire(self) -> Generator[float, None, Session]:
        """Yield seconds to wait. Returns a session."""
        while True:
            self._all = [each for each in self._all if each in self._server.sessions]
            self._idle = [each for each in self._idle if each in self._all]
            if self._idle:
                return self._idle.pop()
            if len(self._all) < POOLER_SESSIONS:
                self._all.append(Session(self._server))
                return self._all[-1]
            yield MAX_LATENCY_SECONDS

    def release(self, session: Session) -> None:
        session.on_notify = None
        self._idle.append(session)


class Cluster:
    """Writers' servers with the same orders, and standbys of the first one."""

    def __init__(self, world: World, primaries: Sequence[Server], standbys: Sequence[Standby]) -> None:
        self._world = world
        self.primaries = [*primaries]
        self.standbys = [*standbys]
        self._lsn = 0

    def commit(self, orders: dict[str, int | None], server: Server, payloads: Sequence[str]) -> None:
        """Commit on this server, and notify those who listen to it."""
        self._lsn += self._world.random.randint(8, 500)
        commit = Commit(self._lsn, orders)
        for each in self.primaries:
            each.copy.apply(commit, self._world.clock.now)
        for standby in self.standbys:
            standby.add(commit)
        for payload in payloads:
            server.notify(0, CHANNEL, payload)

    def fail_over(self) -> Server:
        """Promote the standby; return it."""
        standby = self.standbys.pop()
        standby.promote()
        self.primaries[0] = standby.server
        return standby.server


def cancel_key(body: bytes) -> tuple[int, int]:
    pid, secret = struct.unpack("!II", body[:8])
    return pid, secret
