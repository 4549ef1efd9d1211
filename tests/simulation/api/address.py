"""What a connection string leads to: a server, directly or through a pooler, with the faults of the network between."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, cast

from tests.simulation.api import wire
from tests.simulation.api.loop import Network
from tests.simulation.api.server import MAX_LATENCY_SECONDS, Pooler, Server, Session, cancel_key
from tests.simulation.api.statements import Result, recognized

BACKLOG: Final = 100
FIRST_PORT: Final = 5432
SLICE_SECONDS: Final = 0.05
"""How often a slow statement checks whether it was canceled."""
ROWS_AT_ONCE: Final = 3


class StatementError(Exception):
    """`severity`: FATAL ends the connection."""

    def __init__(self, sqlstate: str, text: str, severity: str = "ERROR") -> None:
        super().__init__(text)
        self.message = wire.error(sqlstate, text, severity)


class Address:
    """`folder`: where its socket is. No two addresses in it have the same number."""

    def __init__(self, folder: Path, number: int, server: Server, network: Network, *, is_pooled: bool = False) -> None:
        self._folder = folder
        self._port = FIRST_PORT + number
        self.server = server
        self.network = network
        self.world = server.world
        self.pooler = Pooler(server) if is_pooled else None
        self.links: list[Link] = []
        self.unreachable_until = 0.0
        """Until when new connections get no answer."""
        self.login_refused_until = 0.0
        self._listening: socket.socket | None = None
        self.listen()

    @property
    def dsn(self) -> str:
        return f"host={self._folder} port={self._port} dbname=orders user=orders"

    def listen(self) -> None:
        if self._listening is None:
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.setblocking(False)  # noqa: FBT003 - its only argument
            path = self._folder / f".s.PGSQL.{self._port}"
            path.unlink(missing_ok=True)
            self._listening.bind(str(path))
            self._listening.listen(BACKLOG)
            self.network.add(self._listening, self._accept)

    def refuse(self) -> None:
        if self._listening is not None:
            self.network.remove(self._listening)
            self._listening.close()
            self._listening = None

    def reset(self) -> None:
        """Close all connections."""
        for link in [*self.links]:
            link.close()

    def silence(self) -> None:
        """Let nothing arrive on the existing connections anymore, without an error."""
        for link in self.links:
            link.is_silent = True

    def close(self) -> None:
        self.reset()
        self.refuse()

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call this later, and not while the server is frozen."""
        clock = self.world.clock
        clock.call_at(max(clock.now + seconds, self.server.frozen_until), partial(self._call, call))

    def _call(self, call: Callable[[], None]) -> None:
        if self.world.clock.now < self.server.frozen_until:
            self.world.clock.call_at(self.server.frozen_until, partial(self._call, call))
        else:
            call()

    def _accept(self) -> None:
        assert self._listening is not None
        with suppress(BlockingIOError):
            while True:
                accepted, _ = self._listening.accept()
                accepted.setblocking(False)  # noqa: FBT003 - its only argument
                self.links.append(Link(accepted, self))


class Link:
    """A connection of a client, and the requests on it, one at a time."""

    def __init__(self, client: socket.socket, address: Address) -> None:
        self._socket = client
        self._address = address
        self._world = address.world
        self._server = address.server
        self.is_silent = False
        self._is_closed = False
        self._is_greeted = False
        self._data = bytearray()
        self._requests: list[wire.Message] = []
        self._is_busy = False
        self._in_transaction = False
        self._has_failed = False
        self._results: list[Result] = []
        """Of the transaction: they take effect when it commits."""
        self._session: Session | None = None
        self._pid, self._secret = next(self._world.pids), self._world.random.getrandbits(31)
        self._is_canceled = False
        self._notifications: list[bytes] = []
        self._arrives_at = self._leaves_at = 0.0
        address.network.add(client, self._on_readable)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._address.links.remove(self)
        self._address.network.remove(self._socket)
        self._socket.close()
        if self._session is not None:
            self._session.close()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self.close()
        elif not self.is_silent:
            now = self._world.clock.now
            self._arrives_at = max(self._arrives_at, now + self._latency(), self._reachable_at(now))
            self._address.call_later(self._arrives_at - now, partial(self._arrive, data))

    def _reachable_at(self, now: float) -> float:
        return now if self._is_greeted else self._address.unreachable_until

    def _latency(self) -> float:
        return self._world.random.random() * MAX_LATENCY_SECONDS

    def _arrive(self, data: bytes) -> None:
        if self._is_closed or self.is_silent:
            return
        self._data += data
        if not self._is_greeted:
            self._start()
        if self._is_greeted and not self._is_closed:
            self._requests += wire.split(self._data)
            self._next()

    def _start(self) -> None:
        startup = wire.split_startup(self._data)
        if startup is None:
            return
        if startup.code == wire.CANCEL_REQUEST:
            for link in self._address.links:
                if (link._pid, link._secret) == cancel_key(startup.body):
                    link._is_canceled = True
            self.close()
            return
        if self._world.clock.now < self._address.login_refused_until:
            self._send(wire.error("28P01", "password authentication failed", "FATAL"))
            self._end()
            return
        self._is_greeted = True
        if self._address.pooler is None:
            self._session = Session(self._server)
            self._session.on_notify = self._notify
            self._pid = self._session.pid
        self._send(wire.greeting(self._pid, self._secret))

    def _end(self) -> None:
        """Close once everything is sent."""
        self._address.call_later(max(self._leaves_at - self._world.clock.now, 0), self.close)

    def _notify(self, pid: int, channel: str, payload: str) -> None:
        self._notifications.append(wire.notification(pid, channel, payload))
        if not self._is_busy and not self._in_transaction:
            self._flush()

    def _flush(self) -> None:
        for each in self._notifications:
            self._send(each)
        self._notifications.clear()

    def _send(self, data: bytes) -> None:
        now = self._world.clock.now
        self._leaves_at = max(self._leaves_at, now + self._latency())
        self._address.call_later(self._leaves_at - now, partial(self._deliver, data))

    def _deliver(self, data: bytes) -> None:
        if not self._is_closed and not self.is_silent:
            try:
                self._socket.send(data)
            except ConnectionError:
                self.close()

    def _next(self) -> None:
        """Start the next request that is complete."""
        if self._is_busy or not self._requests:
            return
        if self._requests[0].kind == b"X":
            self.close()
            return
        ends = [n for n, each in enumerate(self._requests) if each.kind in {b"Q", b"S"}]
        if ends:
            request, self._requests = self._requests[: ends[0] + 1], self._requests[ends[0] + 1 :]
            self._is_busy, self._is_canceled = True, False
            self._step(self._execute(request))

    def _step(self, execution: Iterator[float]) -> None:
        """Continue a request until it has ended."""
        if self._is_closed:
            return
        seconds = next(execution, None)
        if seconds is None:
            self._is_busy = False
            self._next()
        else:
            self._address.call_later(seconds, partial(self._step, execution))

    def _execute(self, request: list[wire.Message]) -> Iterator[float]:
        """Execute statements as one transaction, unless they begin one. Yield seconds to wait."""
        if self._session is None:
            assert self._address.pooler is not None
            self._session = yield from self._address.pooler.acquire()
            self._session.on_notify = self._notify
        try:
            yield from self._run(request)
        except StatementError as error:
            self._send(error.message)
            self._has_failed = self._in_transaction
            self._results.clear()
        if not self._in_transaction:
            self._commit()
        self._is_busy = False
        status = b"I"
        if self._in_transaction:
            status = b"E" if self._has_failed else b"T"
        else:
            self._flush()
        self._send(wire.ready(status))
        if self._address.pooler is not None and not self._in_transaction:
            self._address.pooler.release(self._session)
            self._session = None

    def _commit(self) -> None:
        assert self._session is not None
        for result in self._results:
            if result.listen:
                self._session.channels.add(result.listen)
            if result.notify:
                self._session.server.notify(self._session.pid, *result.notify)
        self._results.clear()

    def _run(self, request: list[wire.Message]) -> Iterator[float]:
        assert self._session is not None
        bound = wire.Bind(b"", [], wire.TEXT)
        for kind, body in request:
            match kind:
                case b"Q":
                    for sql in body[:-1].decode().split("; "):
                        yield from self._statement(sql, [], wire.TEXT)
                case b"P":
                    parsed = wire.parse(body)
                    self._session.prepared[parsed.name] = parsed.sql
                    self._send(wire.message(b"1"))
                case b"B":
                    bound = wire.bind(body)
                    self._send(wire.message(b"2"))
                case b"E":
                    sql = self._session.prepared[bound.statement]
                    yield from self._statement(sql, bound.parameters, bound.form)
                case b"C":
                    self._session.prepared.pop(body[1:-1], None)
                    self._send(wire.message(b"3"))

    def _statement(self, sql: str, parameters: list[str], form: int) -> Iterator[float]:
        assert self._session is not None
        server = self._session.server
        statement = recognized(sql)
        yield from self._wait(server.statement_seconds() / 2)
        self._require_possible(sql, server)
        result = statement.run(self._session.backend, parameters or statement.literals)
        yield from self._wait(self._duration(sql, statement.literals) / 2)
        self._results.append(result)
        if result.columns:
            self._send(wire.row_description(result.columns, form))
        for start in range(0, len(result.rows), ROWS_AT_ONCE):
            rows = result.rows[start : start + ROWS_AT_ONCE]
            self._send(b"".join(wire.data_row(result.columns, row, form) for row in rows))
            if len(result.rows) > ROWS_AT_ONCE:
                yield from self._wait(server.statement_seconds() / 2)
        if result.tag in {"BEGIN", "COMMIT", "ROLLBACK"}:
            self._in_transaction, self._has_failed = result.tag == "BEGIN", False
        if result.tag == "ROLLBACK":
            self._results.clear()
        elif result.tag == "DEALLOCATE":
            self._session.prepared.clear()
        self._send(wire.complete(f"{result.tag} {len(result.rows)}" if result.rows else result.tag))

    def _duration(self, sql: str, literals: object) -> float:
        assert self._session is not None
        if sql.startswith("SELECT pg_sleep("):
            return 2 * float(cast("list[str]", literals)[0])
        return self._session.server.statement_seconds()

    def _require_possible(self, sql: str, server: Server) -> None:
        if self._has_failed and sql not in {"ROLLBACK", "COMMIT"}:
            raise StatementError("25P02", "current transaction is aborted")
        if server.is_standby and sql.startswith("LISTEN "):
            raise StatementError("25006", "cannot execute LISTEN during recovery")
        if server.is_standby and "pg_current_wal_insert_lsn" in sql:
            raise StatementError("55000", "recovery is in progress")
        if sql.startswith("SELECT o.") and server.conflicts():
            raise StatementError("40001", "canceling statement due to conflict with recovery")

    def _wait(self, seconds: float) -> Iterator[float]:
        while seconds > 0:
            yield min(seconds, SLICE_SECONDS)
            seconds -= SLICE_SECONDS
            if self._is_canceled:
                self._is_canceled = False
                raise StatementError("57014", "canceling statement due to user request")


def terminate(address: Address) -> None:
    """Tell all clients that the server shuts down, and close."""
    for link in [*address.links]:
        link._send(wire.error("57P01", "terminating connection due to administrator command", "FATAL"))
        link._end()
