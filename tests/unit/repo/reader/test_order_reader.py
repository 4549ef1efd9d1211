"""What the reader makes of rows. tests/integration/test_order_reader.py reads them from PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import pytest

from service.repo.reader.order_reader import PostgresOrderReader
from service.usecases.ports.reads import Page, PageCursor, PageQuery

if TYPE_CHECKING:
    from service.repo.reader.pool import ReadPool

pytestmark = pytest.mark.anyio


class Rows:
    """A pool whose reads return these rows."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._rows = rows

    async def fetch(self, *_: object) -> Sequence[tuple[Any, ...]]:
        return self._rows


def reader(*rows: tuple[Any, ...]) -> PostgresOrderReader:
    return PostgresOrderReader(cast("ReadPool", Rows(rows)))


@pytest.mark.parametrize(("found", "next_page"), [(1, None), (2, None), (3, PageCursor(1, "uid-1"))])
async def test_a_page_has_a_next_one_only_if_more_orders_were_found(found: int, next_page: PageCursor | None) -> None:
    rows = [(f"{{{number}}}".encode(), number, f"uid-{number}".encode()) for number in range(found)]
    assert await reader(*rows).page(PageQuery(2)) == Page([b"{0}", b"{1}"][:found], next_page)


async def test_the_time_of_an_erasure_is_in_utc() -> None:
    at = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    erased_at = await reader((at,)).erased_at("uid")
    assert (erased_at, erased_at and erased_at.tzinfo) == (at, UTC)


async def test_an_order_without_replaced_versions_has_a_count_of_0() -> None:
    history = await reader((None, b"orders", 0, 7, 1_000, 2_000, None, None)).history("uid")
    assert history is not None
    assert (history.replacements, len(history.versions)) == (0, 1)
