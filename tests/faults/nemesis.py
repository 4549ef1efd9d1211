"""What can be done to a PostgreSQL from within, and undone."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import takewhile
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg

from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.workload import Workload


_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


@contextmanager
def refusing(workload: Workload, condition: str, code: str, *, on: str = "orders") -> Iterator[None]:
    """Let PostgreSQL answer `code` to whoever writes a row that meets the condition, as long as the block lasts."""
    with _trigger(workload, on, f"IF {condition} THEN RAISE 'trouble' USING ERRCODE = '{code}'; END IF"):
        yield


@contextmanager
def slow(workload: Workload, seconds: float) -> Iterator[None]:
    """Let every new order take so long, as long as the block lasts."""
    with _trigger(workload, "orders", f"PERFORM pg_sleep({seconds})"):
        yield


@contextmanager
def held(workload: Workload) -> Iterator[None]:
    """Let nobody write orders as long as the block lasts, which begins when somebody is about to."""
    waiting = "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted AND datname = %s"
    with psycopg.connect(workload.dsn) as connection:
        connection.execute("LOCK TABLE orders IN EXCLUSIVE MODE")
        eventually(lambda: workload.query(waiting, _database(workload)), 30, "somebody waits")
        yield


@contextmanager
def read_only(workload: Workload) -> Iterator[None]:
    """Let every connection that is made while the block lasts be a read-only one, for as long as it is kept."""
    own = _database(workload)
    workload.query(f"ALTER DATABASE {own} SET default_transaction_read_only = on")
    workload.query(f"{_END_SESSIONS} AND datname = %s", own)
    try:
        yield
    finally:
        with psycopg.connect(
            workload.dsn, autocommit=True, options="-c default_transaction_read_only=off"
        ) as connection:
            connection.execute(f"ALTER DATABASE {own} RESET default_transaction_read_only".encode())


@contextmanager
def locking_in_reverse(workload: Workload) -> Iterator[None]:
    """Have somebody else lock all orders again and again, against the order in which we do, as long as the block lasts.

    Deadlocks are then looked for by our side first, which so is the one that has to give way.
    """
    workload.query(f"ALTER DATABASE {_database(workload)} SET deadlock_timeout = '20ms'")
    done = Event()
    other = Thread(target=_lock_in_reverse, args=(workload.dsn, done))
    other.start()
    try:
        yield
    finally:
        done.set()
        other.join()


def _lock_in_reverse(dsn: str, done: Event) -> None:
    lock = "SELECT 1 FROM orders WHERE order_uid = %s FOR UPDATE"
    with psycopg.connect(dsn, options="-c deadlock_timeout=60s") as connection:
        while not done.is_set():
            uids = connection.execute("SELECT order_uid FROM orders ORDER BY order_uid DESC").fetchall()
            for uid in takewhile(lambda _: not done.is_set(), uids):
                connection.execute(lock, uid)
            connection.commit()


@contextmanager
def _trigger(workload: Workload, table: str, body: str) -> Iterator[None]:
    workload.query(f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$")
    workload.query(f"CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION trouble()")
    try:
        yield
    finally:
        workload.query(f"DROP TRIGGER trouble ON {table}")
        workload.query("DROP FUNCTION trouble")


def _database(workload: Workload) -> str:
    return str(workload.query("SELECT current_database()")[0][0])
