"""Helpers for tests of an API process: orders, requests, probes and a locked table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import psycopg

from tests.kit import stores
from tests.kit.factories import SAMPLE, versioned
from tests.kit.processes import Service
from tests.kit.waiting import eventually

UID = SAMPLE["order_uid"]
NO_KAFKA = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}


def store(dsn: str, *uids: str, version: int = 0, **overrides: Any) -> None:
    orders = (versioned(version, order_uid=uid, timestamp_ms=1_000 + version, **overrides) for uid in uids)
    stores.store(dsn, *orders)


@contextmanager
def locked(dsn: str) -> Iterator[Callable[[], None]]:
    """Lock the table against reads until the end of the block, or until the yielded function is called."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield connection.rollback


def waiting_statements(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as admin:
        return str(admin.execute("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall())


def get(service: Service, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(
        f"{service.url}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def probe(service: Service, path: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{service.admin_port}{path}")


def wait_until_live(service: Service) -> Service:
    eventually(lambda: probe(service, "/livez").status_code == 200, 30, service.tail())
    return service
