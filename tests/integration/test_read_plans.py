"""How PostgreSQL plans the API's reads."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from service.entities.order import Order
from service.repo.reader.statements import (
    DOCUMENTS_OF,
    SET_SESSION,
    document_values,
    newest_statement,
    page_statement,
    page_values,
)
from service.usecases.ports.reads import OrderReader, PageCursor, PageQuery
from tests.kit.factories import order
from tests.kit.partitions import TABLES, disable_autovacuum
from tests.kit.readers import RealReads, document
from tests.kit.waiting import eventually


@pytest.fixture
def real(database: str) -> RealReads:
    return RealReads(database)


def varied_orders(numbers: range) -> list[Order]:
    """Orders of 50 customers and 50 track numbers, one per second."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        order(
            order_uid=f"o{n}",
            customer_id=f"c{n % 50}",
            track_number=f"T{n % 50}",
            date_created=(begin + timedelta(seconds=n)).isoformat(),
        )
        for n in numbers
    ]


AFTER = PageCursor(1_704_070_000_000_000, "o1")
IN_RANGE = PageQuery(
    20,
    created_from=datetime(2024, 1, 1, 0, 5, tzinfo=UTC),
    created_to=datetime(2024, 1, 1, 0, 20, tzinfo=UTC),
)


@pytest.mark.plain_tables
def test_each_list_uses_its_index(real: RealReads, database: str) -> None:
    real.store(*varied_orders(range(2_000)))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("SET enable_seqscan = off; SET enable_sort = off")  # the planner prefers them for few rows
        for query, index in (
            (PageQuery(20, PageCursor(1_800_000_000_000_000, "o1")), "orders_newest_idx"),
            (PageQuery(20, customer_id="c1"), "orders_customer_idx"),
            (PageQuery(20, track_number="T1"), "orders_track_idx"),
            (IN_RANGE, "orders_newest_idx"),
            (IN_RANGE._replace(customer_id="c1"), "orders_customer_idx"),
            (IN_RANGE._replace(after=AFTER, track_number="T1"), "orders_track_idx"),
        ):
            steps = connection.execute(f"EXPLAIN {page_statement(query)}", page_values(query)).fetchall()
            plan = "\n".join(step for (step,) in steps)
            assert index in plan
            assert plan.count("Sort") == plan.count("Incremental Sort") + plan.count("Sort Key")
            if query.created_from:
                assert re.search(r"Index Cond: .*date_created >= .*date_created < ", plan)


def test_the_warm_up_sorts_no_documents(real: RealReads, database: str) -> None:
    real.store(*(order(order_uid=f"o{number}") for number in range(2_000)))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE")
        plan = [step for (step,) in connection.execute(f"EXPLAIN (COSTS OFF) {newest_statement(2_000)}")]
    limit = next(number for number, step in enumerate(plan) if "Limit" in step)
    assert [step for step in plan[:limit] if "Sort" in step] == []
    assert "Sort" in str(plan[limit:])


SCANS = """SELECT sum(seq_scan)::int, sum(idx_scan)::int FROM pg_stat_user_tables
WHERE relname ~ '^(deliveries|payments)'"""


def _scans(connection: psycopg.Connection) -> tuple[int, int]:
    """Return the number of sequential and of index scans."""
    ((sequential, by_index),) = connection.execute(SCANS).fetchall()
    return sequential, by_index


def test_reads_use_indexes_while_a_database_fills_that_was_never_analyzed(real: RealReads, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        disable_autovacuum(connection, *TABLES)

    async def fill_and_read(reader: OrderReader) -> None:
        for start in range(0, 8_000, 2_000):
            for _ in range(10):  # until the statement is prepared and has a generic plan
                await document(reader, "o1")
            await asyncio.to_thread(real.store, *(order(order_uid=f"o{start + n}") for n in range(2_000)))
            assert await document(reader, f"o{start + 1}")
            assert len(await reader.documents([f"o{start + n}" for n in range(16)])) == 16

    real.read(fill_and_read)
    with psycopg.connect(database, autocommit=True) as connection:
        eventually(lambda: _scans(connection)[1] > 0, what="statistics of the reads")
        assert _scans(connection)[0] == 0


MAX_CUSTOM_PLANS = 5
"""PostgreSQL plans the first executions of a prepared statement each time, to estimate what that brings."""


@pytest.mark.plain_tables
def test_reads_are_not_planned_each_time(real: RealReads, database: str) -> None:
    for start in range(0, 20_000, 2_000):
        real.store(*varied_orders(range(start, start + 2_000)))
    pages = [
        PageQuery(20),
        PageQuery(20, AFTER),
        PageQuery(20, customer_id="c1"),
        PageQuery(20, track_number="T1"),
        IN_RANGE._replace(customer_id="c1"),
    ]
    reads = [(DOCUMENTS_OF, document_values(["o1"])), *((page_statement(page), page_values(page)) for page in pages)]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute(SET_SESSION)
        for _ in range(20):
            for statement, values in reads:
                connection.execute(statement.encode(), values, prepare=True)
        found = connection.execute("SELECT statement, custom_plans FROM pg_prepared_statements").fetchall()
    assert len(found) == len(reads)
    assert [statement for statement, custom in found if custom > MAX_CUSTOM_PLANS] == []
