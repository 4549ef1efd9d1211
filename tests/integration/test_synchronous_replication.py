"""With synchronous replication, an order counts as stored only after a standby has confirmed it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from service.errors import StorageUnavailable
from service.usecases.ports.ingest import StoreCounts
from tests.kit.blocked import Background
from tests.kit.factories import versioned
from tests.kit.stores import WRITER, writing
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

_COMMITTING: Final = "FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'SyncRep'"


@pytest.fixture
def server(own_postgres: "Postgres") -> Iterator[psycopg.Connection]:
    """A superuser connection, whose own commits do not wait for standbys."""
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = local")
        yield connection


def set_standbys(server: psycopg.Connection, names: str) -> None:
    server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
    server.execute("SELECT pg_reload_conf()")
    eventually(lambda: server.execute("SHOW synchronous_standby_names").fetchone() == (names,))


def wait_until_committing(server: psycopg.Connection) -> None:
    eventually(lambda: server.execute(f"SELECT {_COMMITTING}".encode(), [WRITER]).fetchone() is not None)


def test_a_commit_counts_only_after_a_standby_has_confirmed_it(
    own_postgres: "Postgres", server: psycopg.Connection, background: Background
) -> None:
    order = versioned(1)
    set_standbys(server, "absent")
    with writing(f"{own_postgres.dsn}?options=-cclient_min_messages%3Derror") as writer:
        first = background(lambda: writer.store([order]))
        wait_until_committing(server)
        server.execute(f"SELECT pg_cancel_backend(pid) {_COMMITTING}".encode(), [WRITER])
        with pytest.raises(StorageUnavailable, match=r"synchronous replication .* 01000"):
            first.result(10)
        assert server.execute("SELECT count(*) FROM orders").fetchone() == (1,), "it is on the primary"
        again = background(lambda: writer.store([order]))
        wait_until_committing(server)
        assert not again.done()
        set_standbys(server, "")
        assert again.result(10) == StoreCounts(unchanged=1)
