"""The connections of reads. Every error of a read is a StorageUnavailable, which the API answers with 503."""

import dataclasses
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
from psycopg.errors import lookup
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import CommandFailed, ReadInterrupted, SchemaMismatch, StorageUnavailable
from service.repo.connection import NEVER_TIME_OUT_IDLE, BoundedAsyncConnection, ignore_notify
from service.repo.connection_errors import CONNECTION_FAILED
from service.repo.reader import pool as pools
from service.repo.reader.pool import ReadPool
from service.repo.reader.statements import SET_SESSION
from service.repo.scope import Identity
from service.repo.translate import PROBLEMS, translate
from tests.kit.factories import connection_settings

pytestmark = pytest.mark.anyio

STATES = {
    "22012": StorageUnavailable,  # division by zero
    "22P02": StorageUnavailable,  # invalid text representation
    "57014": StorageUnavailable,  # canceled by a statement_timeout of the role
    "42P01": SchemaMismatch,
}
"""Kinds of errors, by SQLSTATE."""


@pytest.fixture
def lent() -> SimpleNamespace:
    """The connection to no server that the pool lends."""
    return SimpleNamespace(closed=False, has_timed_out=False, prepare_threshold=5)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, lent: SimpleNamespace) -> ReadPool:
    async def getconn(_pool: object, _timeout: float) -> SimpleNamespace:
        return lent

    async def putconn(_pool: object, _connection: SimpleNamespace) -> None: ...

    monkeypatch.setattr(AsyncConnectionPool, "getconn", getconn)
    monkeypatch.setattr(AsyncConnectionPool, "putconn", putconn)
    return ReadPool(connection_settings("postgresql://", "test"), connections=1)


@pytest.mark.parametrize(("state", "kind"), STATES.items())
async def test_an_error_of_a_statement_means_that_the_database_is_unavailable(
    pool: ReadPool, state: str, kind: type[StorageUnavailable]
) -> None:
    with pytest.raises(StorageUnavailable) as failure:
        async with pool.connection():
            raise lookup(state)
    assert (type(failure.value), failure.value.sqlstate) == (kind, state)


@pytest.mark.parametrize(("state", "kind"), STATES.items())
async def test_an_error_of_connecting_means_that_the_database_is_unavailable(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch, state: str, kind: type[StorageUnavailable]
) -> None:
    async def getconn(_pool: object, _timeout: float) -> psycopg.AsyncConnection:
        raise lookup(state)

    monkeypatch.setattr(AsyncConnectionPool, "getconn", getconn)
    with pytest.raises(StorageUnavailable) as failure:
        async with pool.connection():
            pytest.fail("no connection was established")
    assert (type(failure.value), failure.value.sqlstate) == (kind, state)


async def test_the_pool_has_the_name_of_the_application_which_its_log_contains(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(pools, "AsyncConnectionPool", lambda *_, name, **__: names.append(name))
    ReadPool(connection_settings("postgresql://", "orders api"), connections=1)
    assert names == ["orders api"]


async def _no_connection(_pool: object, _timeout: float) -> psycopg.AsyncConnection:
    raise PoolTimeout


async def test_a_pool_whose_connections_are_all_in_use_does_not_count_as_unreachable(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool.connection():
        pool.is_reachable = True
        monkeypatch.setattr(AsyncConnectionPool, "getconn", _no_connection)
        with pytest.raises(StorageUnavailable, match="after 2 s waiting for a connection"):
            async with pool.connection():
                pytest.fail("no connection was free")
        assert pool.is_reachable


async def test_a_pool_that_cannot_connect_counts_as_unreachable(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool.connection():
        pass
    assert pool.is_reachable
    monkeypatch.setattr(AsyncConnectionPool, "getconn", _no_connection)
    for timeout in ("2 s", "0.5 s"):
        with pytest.raises(StorageUnavailable, match=f"after {timeout} waiting"):
            async with pool.connection():
                pytest.fail("no connection was established")
        assert not pool.is_reachable


# What becomes of a failed read


async def failure(pool: ReadPool, error: psycopg.Error) -> StorageUnavailable:
    with pytest.raises(StorageUnavailable) as raised:
        async with pool.connection():
            raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (lookup("40001")("conflict with recovery"), translate(lookup("40001")("")).problem),
        (lookup("26000")("S_1"), translate(lookup("26000")("")).problem),
    ],
)
async def test_an_error_that_another_attempt_may_avoid_interrupts_the_read(
    pool: ReadPool, error: psycopg.Error, problem: str
) -> None:
    interrupted = await failure(pool, error)
    assert isinstance(interrupted, ReadInterrupted)
    assert (interrupted.problem, interrupted.sqlstate) == (problem, error.sqlstate)


async def test_the_error_of_a_statement_has_its_problem_and_no_value(pool: ReadPool) -> None:
    error = lookup("22P02")("secret")
    assert (await failure(pool, error)).problem == translate(error).problem


async def test_a_broken_connection_interrupts_the_read(pool: ReadPool, lent: SimpleNamespace) -> None:
    lent.closed = True
    interrupted = await failure(pool, psycopg.OperationalError("server closed the connection"))
    assert isinstance(interrupted, ReadInterrupted)
    assert interrupted.problem == CONNECTION_FAILED


async def test_a_query_that_timed_out_is_abandoned_and_the_server_counts_as_unreachable(
    pool: ReadPool, lent: SimpleNamespace
) -> None:
    async with pool.connection():
        pass
    abandoned = []

    async def abandon() -> None:
        abandoned.append(True)

    lent.has_timed_out, lent.abandon = True, abandon
    timed_out = await failure(pool, psycopg.OperationalError("timeout"))
    assert (type(timed_out), timed_out.problem) == (StorageUnavailable, "the query timed out")
    assert abandoned
    assert not pool.is_reachable


async def test_a_pool_is_unreachable_until_a_read_succeeds(pool: ReadPool) -> None:
    seen = [pool.is_reachable]
    async with pool.connection():
        pass
    seen.append(pool.is_reachable)
    pool.mark_unreachable()
    assert [*seen, pool.is_reachable] == [False, True, False]


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("connections", [1, 3])
async def test_a_read_is_tried_on_each_connection_and_on_a_new_one(connections: int) -> None:
    pool = ReadPool(connection_settings("postgresql://", "test"), connections)
    tried = []

    async def read(_: object) -> None:
        tried.append(True)
        assert len(tried) <= connections + 1
        raise ReadInterrupted("broken")

    with pytest.raises(ReadInterrupted):
        await pool.retrying(read)
    assert len(tried) == connections + 1
    assert pool.usage.max_size == connections


# Prepared statements and poolers


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(("setting", "threshold"), [(None, 5), (True, 5), (False, None)])
async def test_the_setting_decides_whether_statements_are_prepared(
    lent: SimpleNamespace, *, setting: bool | None, threshold: int | None
) -> None:
    settings = dataclasses.replace(connection_settings("postgresql://", "test"), prepared_statements=setting)
    async with ReadPool(settings, connections=1).connection():
        assert lent.prepare_threshold == threshold


@pytest.mark.parametrize(("state", "threshold"), [("26000", None), ("42P05", None), ("40001", 5)])
async def test_after_an_error_of_a_prepared_statement_none_is_prepared(
    pool: ReadPool, lent: SimpleNamespace, state: str, threshold: int | None
) -> None:
    await failure(pool, lookup(state)())
    async with pool.connection():
        assert lent.prepare_threshold == threshold


class NewConnection:
    """A connection of process 7, maybe through a pooler to a process of the server. Records what it executes."""

    def __init__(self, server_pid: int, *, is_standby: bool) -> None:
        self._server = (server_pid, is_standby)
        self.info = SimpleNamespace(backend_pid=7)
        self.adapters = SimpleNamespace(register_loader=lambda *_: None)
        self.prepare_threshold: int | None = 5
        self.may_be_standby: bool | None = None
        self.call_timeout = 0.0
        self.executed: list[tuple[str, Sequence[str]]] = []
        self.handlers: list[object] = []

    def add_notify_handler(self, handler: object) -> None:
        self.handlers.append(handler)

    async def execute(self, statement: str, values: Sequence[str] = ()) -> SimpleNamespace:
        self.executed.append((statement, values))

        async def fetchall() -> list[tuple[int, bool]]:
            return [self._server]

        return SimpleNamespace(fetchall=fetchall)


@pytest.mark.parametrize("setting", [None, True])
@pytest.mark.parametrize("is_standby", [False, True])
@pytest.mark.parametrize("is_pooled", [False, True])
async def test_behind_a_pooler_a_connection_has_no_state_and_may_lead_to_a_standby(
    *, setting: bool | None, is_standby: bool, is_pooled: bool
) -> None:
    settings = dataclasses.replace(
        connection_settings("postgresql://", "test", statement_timeout=3), prepared_statements=setting
    )
    new = NewConnection(8 if is_pooled else 7, is_standby=is_standby)
    await ReadPool(settings, connections=1)._configure(cast("BoundedAsyncConnection", new))
    assert new.may_be_standby == (is_standby or is_pooled)
    assert new.prepare_threshold == (None if is_pooled and setting is None else 5)
    assert ((SET_SESSION, ()) in new.executed) == (not is_pooled)
    assert (NEVER_TIME_OUT_IDLE, ["7"]) in new.executed
    assert new.call_timeout == 3
    assert new.handlers == [ignore_notify]


# The identity of the database


@pytest.mark.parametrize(
    ("row", "error", "problem"),
    [
        ((b"orders", b"1/orders", False, b"LATIN1"), CommandFailed, "unsupported database encoding LATIN1"),
        ((None, b"1/orders", False, b"UTF8"), StorageUnavailable, PROBLEMS["42"]),
    ],
)
async def test_a_database_of_another_encoding_or_without_the_tables_is_refused(
    pool: ReadPool,
    monkeypatch: pytest.MonkeyPatch,
    row: tuple[bytes | bool | None, ...],
    error: type[Exception],
    problem: str,
) -> None:
    async def fetch(*_: object) -> list[object]:
        return [row]

    monkeypatch.setattr(pool, "fetch", fetch)
    with pytest.raises(error, match=f"^{re.escape(problem)}"):
        await pool.identity()


@pytest.mark.parametrize("is_standby", [False, True])
async def test_the_identity_says_whether_a_standby_is_read(
    pool: ReadPool, monkeypatch: pytest.MonkeyPatch, *, is_standby: bool
) -> None:
    async def fetch(*_: object) -> list[object]:
        return [(b"orders", b"1/orders", is_standby, b"UTF8")]

    monkeypatch.setattr(pool, "fetch", fetch)
    assert await pool.identity() == Identity("orders", "1/orders", is_standby)
