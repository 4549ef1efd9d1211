"""What the statements of the API return. They are recognized by their text, which real servers verify elsewhere."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from service.repo.connection import BACKEND_PID, NEVER_TIME_OUT_IDLE, SERVER
from service.repo.listener.listener import CURRENT_LSN, HEARTBEAT
from service.repo.notifications import FREE_QUEUE
from service.repo.reader.statements import (
    DOCUMENTS_OF,
    IDENTITY,
    REPLAY_LSN,
    SET_SESSION,
    SUMMARIES_OF,
    newest_statement,
)
from service.repo.scope import DATABASE
from tests.simulation.api.wal import Copy
from tests.simulation.api.wire import Oid, Row

CHANNEL: Final = "orders_channel"
"""Of the notifications of changed orders."""


class Backend(NamedTuple):
    """What a statement sees of its server and its session."""

    pid: int
    copy: Copy
    database: str
    is_standby: bool


class Result(NamedTuple):
    """Columns and rows, what the statement does when it commits, and the tag of its completion."""

    columns: Sequence[Oid] = ()
    rows: Sequence[Row] = ()
    listen: str | None = None
    notify: tuple[str, str] | None = None
    tag: str = "SELECT"


Run = Callable[[Backend, Sequence[str]], Result]


def document(uid: str, version: int) -> str:
    return f'{{"order_uid":"{uid}","version":{version}}}'


def version_of(body: bytes) -> int:
    found = re.search(rb'"version":(\d+)}', body)
    assert found
    return int(found[1])


def _documents(backend: Backend, parameters: Sequence[str]) -> Result:
    uids = dict.fromkeys(parameters[0].strip("{}").split(","))
    orders = backend.copy.orders
    return Result((Oid.TEXT, Oid.TEXT), [(uid, document(uid, orders[uid])) for uid in uids if uid in orders])


def _newest(backend: Backend, parameters: Sequence[str]) -> Result:
    orders = sorted(backend.copy.orders.items(), key=lambda each: -each[1])[: int(parameters[0])]
    return Result((Oid.TEXT, Oid.TEXT), [(uid, document(uid, version)) for uid, version in orders])


def _heartbeat(backend: Backend, parameters: Sequence[str]) -> Result:
    return Result((Oid.VOID, Oid.INT8), [("", backend.copy.lsn)], notify=(parameters[0], parameters[1]))


def _sleep(_: Backend, __: Sequence[str]) -> Result:
    return Result((Oid.VOID,), [("",)])


_FIXED: Final[Mapping[str, Run]] = {
    BACKEND_PID: lambda backend, _: Result((Oid.INT4,), [(backend.pid,)]),
    SERVER: lambda backend, _: Result((Oid.INT4, Oid.BOOL), [(backend.pid, backend.is_standby)]),
    IDENTITY: lambda backend, _: Result(
        (Oid.TEXT, Oid.TEXT, Oid.BOOL, Oid.TEXT), [(CHANNEL, backend.database, backend.is_standby, "UTF8")]
    ),
    f"SELECT {DATABASE}": lambda backend, _: Result((Oid.TEXT,), [(backend.database,)]),
    f"SELECT {CURRENT_LSN}": lambda backend, _: Result((Oid.INT8,), [(backend.copy.lsn,)]),
    FREE_QUEUE: lambda _, __: Result((Oid.FLOAT8,), [("0",)]),
    REPLAY_LSN: lambda backend, _: Result((Oid.INT8,), [(backend.copy.lsn if backend.is_standby else None,)]),
    **{each: lambda _, __: Result(tag="SET") for each in SET_SESSION.split("; ")},
}


def _pattern(sql: str, parameter: str = r"(?:\$\d|'([^']*)'(?:::\w+\[\])?)") -> "re.Pattern[str]":
    parts = re.split(r"%\(\w+\)s|%s", sql)
    return re.compile(parameter.join(map(re.escape, parts)), re.DOTALL)


_PARAMETRIC: Final[Sequence[tuple["re.Pattern[str]", Run]]] = [
    (_pattern(DOCUMENTS_OF), _documents),
    (_pattern(SUMMARIES_OF), _documents),
    (_pattern(HEARTBEAT.format(lsn=CURRENT_LSN)), _heartbeat),
    (_pattern(newest_statement(0).replace("LIMIT 0", "LIMIT %s"), r"(\d+)"), _newest),
    (_pattern(NEVER_TIME_OUT_IDLE), lambda _, __: Result((Oid.TEXT,), [])),
    (re.compile(r"SELECT pg_sleep\((.+)\)"), _sleep),
]


class Statement(NamedTuple):
    run: Run
    literals: Sequence[str]
    """The parameters that its text contains."""


def recognized(sql: str) -> Statement:
    """Return what the text stands for. Raises LookupError for a text that the API did not send yet."""
    if run := _FIXED.get(sql):
        return Statement(run, ())
    if sql.startswith("LISTEN "):
        channel = sql.removeprefix("LISTEN ")
        return Statement(lambda _, __: Result(listen=channel, tag="LISTEN"), ())
    if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK", "DEALLOCATE ALL")):
        tag = sql.partition(" ")[0]
        return Statement(lambda _, __: Result(tag=tag), ())
    for pattern, run in _PARAMETRIC:
        if found := pattern.fullmatch(sql):
            return Statement(run, [each for each in found.groups() if each is not None])
    raise LookupError(f"the statement is not simulated: {sql}")
