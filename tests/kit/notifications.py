"""Sends and receives notifications on the channel of the orders, and fills the queue of the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import ProgramLimitExceeded

from service.repo.scope import CHANNEL
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from local.postgres import Postgres

NOTIFY = f"SELECT pg_notify({CHANNEL}, %s)"
"""Statement with the payload as its parameter."""


def listen(connection: psycopg.Connection[Any]) -> None:
    """Subscribe the connection to the channel of this database's orders."""
    row = connection.execute(f"SELECT {CHANNEL}".encode()).fetchone()
    assert row is not None
    connection.execute(f"LISTEN {row[0]}".encode())


def limit_queue(server: "Postgres") -> None:
    """Restart the server with the smallest notification queue: 512 KiB instead of 8 GiB."""
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
    server.stop()
    server.start()


@contextmanager
def full_queue(dsn: str) -> Iterator[None]:
    """Fill the queue. A listener that is idle in a transaction keeps the notifications in it until the block ends."""
    with psycopg.connect(dsn) as stalled:
        stalled.execute("LISTEN stalled")
        stalled.commit()
        stalled.execute("SELECT")
        eventually(lambda: _is_full(dsn), what="a full queue")
        yield


def _is_full(dsn: str) -> bool:
    """Add 20 pages; return whether there is no room for them."""
    with psycopg.connect(dsn, autocommit=True) as notifying:
        try:
            notifying.execute("SELECT pg_notify('stalled', i || repeat('x', 7000)) FROM generate_series(1, 20) i")
        except ProgramLimitExceeded:
            return True
    return False
