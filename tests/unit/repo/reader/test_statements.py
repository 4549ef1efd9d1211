"""The statements of the API's reads have the conditions and the values of their query."""

from datetime import UTC, datetime

import pytest

from service.repo.reader.statements import MIN_UIDS, document_values, newest_statement, page_statement, page_values
from service.repo.shards import shard_of
from service.usecases.ports.reads import PageCursor, PageQuery

AFTER = "(o.date_created, o.order_uid) < (%(created)s, %(order_uid)s)"
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("count", [1, 2, MIN_UIDS])
def test_a_short_list_of_uids_is_padded_with_the_first_one(count: int) -> None:
    uids = [f"uid-{number}" for number in range(count)]
    assert document_values(uids)["order_uids"] == [*uids, *["uid-0"] * (MIN_UIDS - count)]


def test_a_long_list_of_uids_is_complete() -> None:
    uids = [f"uid-{number}" for number in range(MIN_UIDS + 1)]
    assert document_values(uids)["order_uids"] == uids


def test_each_uid_has_its_shard() -> None:
    values = document_values(["a", "b"])
    assert values["shards"] == [shard_of(uid) for uid in values["order_uids"]]


def test_the_newest_orders_are_limited() -> None:
    assert "LIMIT 7)" in newest_statement(7)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (PageQuery(10), ""),
        (PageQuery(10, customer_id="c"), "WHERE o.customer_id = %(customer_id)s"),
        (PageQuery(10, track_number=""), "WHERE o.track_number = %(track_number)s"),
        (PageQuery(10, PageCursor(0, "a")), f"WHERE {AFTER}"),
        (
            PageQuery(10, PageCursor(0, "a"), "c", "t"),
            f"WHERE o.customer_id = %(customer_id)s AND o.track_number = %(track_number)s AND {AFTER}",
        ),
        (PageQuery(10, created_from=NOON), "WHERE o.date_created >= %(created_from)s"),
        (
            PageQuery(10, PageCursor(0, "a"), created_from=NOON, created_to=NOON),
            f"WHERE o.date_created >= %(created_from)s AND o.date_created < %(created_to)s AND {AFTER}",
        ),
    ],
)
def test_a_page_has_the_conditions_of_its_query(query: PageQuery, where: str) -> None:
    conditions, _, order = page_statement(query).rpartition("p.shard = o.shard ")[2].partition("\n")
    assert conditions == where
    assert (
        order == "ORDER BY o.date_created DESC, o.order_uid DESC LIMIT 11"
    )  # one more, to know whether there is a next page


def test_a_page_continues_after_the_cursor() -> None:
    values = page_values(PageQuery(10, PageCursor(1_500_000, "uid")))
    assert (values["created"], values["order_uid"]) == (datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "uid")


@pytest.mark.parametrize(("microseconds", "limit"), [(10**18, LATEST), (-(10**18), EARLIEST)])
def test_a_cursor_beyond_the_calendar_is_limited_to_it(microseconds: int, limit: datetime) -> None:
    assert page_values(PageQuery(10, PageCursor(microseconds, "uid")))["created"] == limit
