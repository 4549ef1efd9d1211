"""docs/table-rewrites.md: its statements lose no change of a writer, and no writer or reader waits for long."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Self

import psycopg

from service.entities.version import VersionedOrder
from service.repo.operations.erasures import Erasures
from service.repo.transactions import Transactions
from service.repo.writer.order_store import PostgresOrderStore
from service.usecases.ports.ingest import StoreCounts
from tests.kit.factories import connection_settings, versioned
from tests.kit.waiting import eventually

PAGE: Final = Path(__file__).parents[2] / "docs" / "table-rewrites.md"
CREATE, COPY, ADD_KEY, VALIDATE, DIFFERENCES, DROP = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
RANGE: Final = 10_000

MAX_LOCK_SECONDS: Final = 5.0
"""The writers' lock timeout: half of the page's."""
BATCH: Final = 500
ALL_TABLES: Final = "SELECT count(*) FROM orders, deliveries, payments, items WHERE false"
WAITING_FOR_LOCK: Final = """\
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'tests'"""


@contextmanager
def writing(dsn: str) -> Iterator[PostgresOrderStore]:
    settings = connection_settings(dsn, "tests", lock_timeout=MAX_LOCK_SECONDS)
    with closing(PostgresOrderStore(Transactions(settings))) as store:
        yield store


class BackgroundWriter:
    """Stores new orders until it is stopped, replaces half of the previous ones, and erases one of those."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._rounds = 0
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for_rounds(self, number: int) -> None:
        until = self._rounds + number
        eventually(lambda: self._rounds >= until or self._error is not None, what=f"{number} rounds are stored")
        if self._error:
            raise self._error

    def _run(self) -> None:
        erasures = Erasures(Transactions(connection_settings(self._dsn, "tests")), "tests")
        with writing(self._dsn) as store, closing(erasures):
            try:
                while not self._stop.is_set():
                    store.store([new(self._rounds, number) for number in range(BATCH)])
                    store.store([replacement(self._rounds - 1, number) for number in range(BATCH // 2)])
                    erasures.erase([f"{self._rounds - 1}-{BATCH - 1}"])
                    self._rounds += 1
            except Exception as error:  # noqa: BLE001 - wait_for_rounds raises it
                self._error = error


def new(batch: int, number: int) -> VersionedOrder:
    return versioned(1, order_uid=f"{batch}-{number}", payment={"amount": number})


def replacement(batch: int, number: int) -> VersionedOrder:
    return versioned(2, order_uid=f"{batch}-{number}", payment={"amount": number + 1})


def execute(admin: psycopg.Connection, statements: str) -> None:
    with admin.transaction():
        admin.execute(statements.encode())


def copy_range(after: int) -> str:
    return str(COPY).replace(":after", str(after))


def single(admin: psycopg.Connection, query: str) -> Any:
    [(value,)] = admin.execute(query.encode()).fetchall()
    return value


def assert_copied(admin: psycopg.Connection) -> None:
    assert single(admin, DIFFERENCES) == 0
    assert single(admin, "SELECT count(*) FROM payments_v2") == single(admin, "SELECT count(*) FROM orders") > 0


def test_the_example_loses_no_change_and_blocks_nobody_for_long(database: str, admin: psycopg.Connection) -> None:
    with psycopg.connect(database) as reader, BackgroundWriter(database) as writer:
        reader.execute(ALL_TABLES)  # holds its locks, like pg_dump
        writer.wait_for_rounds(3)
        execute(admin, CREATE)
        writer.wait_for_rounds(1)
        for after in range(0, single(admin, "SELECT max(id) FROM orders"), RANGE):
            execute(admin, copy_range(after))
        writer.wait_for_rounds(3)
        execute(admin, ADD_KEY)
        writer.wait_for_rounds(1)
        execute(admin, VALIDATE)
        writer.wait_for_rounds(3)
    assert_copied(admin)
    assert single(admin, "SELECT count(*) FROM orders WHERE source_offset = 2") > BATCH

    execute(admin, DROP)
    assert single(admin, "SELECT count(*) FROM payments_v2") == single(admin, "SELECT count(*) FROM orders")
    admin.execute("DELETE FROM orders")
    assert single(admin, "SELECT count(*) FROM payments_v2") == 0


def test_the_foreign_key_waits_for_a_running_batch(database: str, admin: psycopg.Connection) -> None:
    with writing(database) as store:
        store.store([new(0, 0)])
    execute(admin, CREATE)
    with (
        psycopg.connect(database) as batch,
        psycopg.connect(database, autocommit=True, application_name="tests") as migration,
        ThreadPoolExecutor() as pool,
    ):
        batch.execute("UPDATE orders SET locale = 'de'")
        added = pool.submit(execute, migration, ADD_KEY)
        eventually(lambda: single(admin, WAITING_FOR_LOCK) == 1, what="the migration waits")
        batch.execute("DELETE FROM payments")  # and from payments_v2, by the trigger
        batch.commit()
        added.result()
    execute(admin, VALIDATE)


def test_an_order_is_not_replaced_while_its_row_is_copied(database: str, admin: psycopg.Connection) -> None:
    with writing(database) as store, ThreadPoolExecutor() as pool, psycopg.connect(database) as other:
        store.store([new(0, 0)])
        execute(admin, CREATE)
        other.execute(copy_range(0).encode())
        replaced = pool.submit(store.store, [replacement(0, 0)])
        eventually(lambda: single(admin, WAITING_FOR_LOCK) == 1, what="the writer waits")
        other.commit()
        assert replaced.result() == StoreCounts(replaced=1)
    assert_copied(admin)


def test_a_row_that_a_later_release_wrote_is_replaced(database: str, admin: psycopg.Connection) -> None:
    execute(admin, CREATE)
    with writing(database) as store:
        store.store([new(0, 0)])
        admin.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        admin.execute("DELETE FROM payments")
        admin.execute("ALTER TABLE payments ENABLE TRIGGER USER")
        store.store([replacement(0, 0)])
    assert_copied(admin)
