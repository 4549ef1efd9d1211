"""Faults that last for a `with` block."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from threading import Event, Thread

import psycopg

from local.broker import Broker
from local.postgres import Postgres
from local.process import Server
from tests.faults.workload import Workload
from tests.kit.waiting import eventually

_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Stop a server within the block."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def suspended(server: Broker | Postgres) -> Iterator[None]:
    """Suspend a server within the block: its connections stay open, and it does not respond."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def rejecting(workload: Workload, condition: str, code: str, *, on: str = "orders") -> Iterator[None]:
    """Raise SQLSTATE `code` on every write of a row that satisfies the condition."""
    with _trigger(workload, on, f"IF {condition} THEN RAISE 'nemesis' USING ERRCODE = '{code}'; END IF"):
        yield


@contextmanager
def slow_writes(workload: Workload, seconds: float) -> Iterator[None]:
    """Delay every write of an order."""
    with _trigger(workload, "orders", f"PERFORM pg_sleep({seconds})"):
        yield


@contextmanager
def orders_locked(workload: Workload) -> Iterator[None]:
    """Lock the orders table against writes; the block begins when a writer waits for the lock."""
    waiting = "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted AND datname = %s"
    with psycopg.connect(workload.dsn) as connection:
        connection.execute("LOCK TABLE orders IN EXCLUSIVE MODE")
        eventually(lambda: workload.query(waiting, _database(workload)), 30, "a writer waits for the lock")
        yield


@contextmanager
def read_only(workload: Workload) -> Iterator[None]:
    """Make every connection that is opened within the block read-only, even after its end."""
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
    """Lock all orders repeatedly, in the reverse order of the consumer.

    The consumer's short deadlock_timeout makes it the one that detects the deadlock and is rolled back.
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
    workload.query(_function(body))
    create = f"CREATE TRIGGER nemesis BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION nemesis()"
    eventually(lambda: _has_changed(workload, create), within=60, what="the trigger is created")
    try:
        yield
    finally:
        workload.query(_function("NULL", "OR REPLACE"))  # needs no lock on the table, so it ends the fault immediately
        drop = f"DROP TRIGGER nemesis ON {table}"
        eventually(lambda: _has_changed(workload, drop), within=60, what="the trigger is dropped")
        workload.query("DROP FUNCTION nemesis")


def _function(body: str, replace: str = "") -> str:
    block = f"BEGIN {body}; RETURN NEW; END"
    return f"CREATE {replace} FUNCTION nemesis() RETURNS trigger LANGUAGE plpgsql AS $$ {block} $$"


def _has_changed(workload: Workload, statement: str) -> bool:
    """Execute the statement; return False if it deadlocked with a batch, which locks the table more than once."""
    try:
        workload.query(statement)
    except psycopg.errors.DeadlockDetected:
        return False
    return True


def _database(workload: Workload) -> str:
    return str(workload.query("SELECT current_database()")[0][0])
