"""Every error of a read is a StorageUnavailable, which the API answers with 503."""

from types import SimpleNamespace

import psycopg
import pytest
from psycopg.errors import lookup
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import SchemaMismatch, StorageUnavailable
from service.repo.reader.pool import ReadPool
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
def pool(monkeypatch: pytest.MonkeyPatch) -> ReadPool:
    """Return a pool that lends a connection to no server."""

    async def getconn(_pool: object, _timeout: float) -> SimpleNamespace:
        return SimpleNamespace(closed=False, has_timed_out=False)

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
