"""Stores of PostgreSQL, each with a connection of its own."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import psycopg

from service.entities.order import Order
from service.entities.version import VersionedOrder
from service.errors import StorageUnavailable
from service.repo.document import DOCUMENT, FROM_ORDERS
from service.repo.operations.erasures import Erasures
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import connection_settings

WRITER = "writer"
"""The application name of writers."""


@contextmanager
def writing(dsn: str, *arguments: Any, **settings: Any) -> Iterator[PostgresOrderStore]:
    """Open a store with these further arguments and connection settings."""
    with closing(PostgresOrderStore(Transactions(connection_settings(dsn, WRITER, **settings)), *arguments)) as opened:
        yield opened


@contextmanager
def erasing(dsn: str, **settings: Any) -> Iterator[Erasures]:
    with closing(Erasures(Transactions(connection_settings(dsn, "eraser", **settings)), WRITER)) as opened:
        yield opened


def store(dsn: str, *orders: VersionedOrder) -> StoreCounts:
    """Store orders in one transaction."""
    with writing(dsn) as writer:
        return writer.store(orders)


def try_to_store(writer: PostgresOrderStore, batch: Sequence[VersionedOrder]) -> bool:
    """Return whether they are stored; False while PostgreSQL is unavailable."""
    try:
        writer.store(batch)
    except StorageUnavailable:
        return False
    return True


def stored_order(admin: psycopg.Connection, uid: str) -> Order:
    (row,) = admin.execute(f"SELECT {DOCUMENT} {FROM_ORDERS} WHERE o.order_uid = %s", [uid])
    return msgspec.json.decode(row[0], type=Order)
