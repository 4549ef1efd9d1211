"""Sends and receives notifications on the channel of the orders."""

from typing import Any

import psycopg

from service.repo.scope import CHANNEL

NOTIFY = f"SELECT pg_notify({CHANNEL}, %s)"
"""Statement with the payload as its parameter."""


def listen(connection: psycopg.Connection[Any]) -> None:
    """Subscribe the connection to the channel of this database's orders."""
    row = connection.execute(f"SELECT {CHANNEL}".encode()).fetchone()
    assert row is not None
    connection.execute(f"LISTEN {row[0]}".encode())
