"""Sends and receives notifications as writers and readers of the orders do."""

from typing import Any

import psycopg

from service.repo.scope import CHANNEL

NOTIFY = f"SELECT pg_notify({CHANNEL}, %s)"
"""As the writer of this database's orders does."""


def listen(connection: psycopg.Connection[Any]) -> None:
    """Listen as the readers of this database's orders do."""
    row = connection.execute(f"SELECT {CHANNEL}".encode()).fetchone()
    assert row is not None
    connection.execute(f"LISTEN {row[0]}".encode())
