"""`/orders`: pages of summaries."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.kit.factories import order
from tests.kit.in_memory_api import ORDER, InMemoryApi

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[InMemoryApi]:
    """An API with one order per hour, of two customers and two track numbers."""
    with (made := InMemoryApi()).client:
        made.reader.store(
            *(
                order(
                    order_uid=f"o{hour}",
                    customer_id=f"c & {hour % 2}",
                    track_number=f"T & {hour % 2}",
                    date_created=(BEGIN + timedelta(hours=hour)).isoformat(),
                )
                for hour in range(6)
            )
        )
        yield made


def uids(page: Any) -> list[str]:
    return [each["order_uid"] for each in page.json()["orders"]]


def test_a_list_is_paged_to_its_end(api: InMemoryApi) -> None:
    first = api.client.get("/orders?limit=4")
    second = api.client.get("/orders", params={"limit": 4, "cursor": first.json()["next_cursor"]})
    assert uids(first) + uids(second) == ["o5", "o4", "o3", "o2", "o1", "o0", ORDER.order_uid]
    assert second.json()["next_cursor"] is None


def test_a_list_has_no_personal_data(api: InMemoryApi) -> None:
    listed = api.client.get("/orders").text
    assert [value for value in (ORDER.delivery.name, ORDER.delivery.email, "customer") if value in listed] == []


@pytest.mark.parametrize(
    ("created_from", "created_to", "expected"),
    [
        ("2026-01-01T04:00:00Z", None, ["o5", "o4"]),
        ("2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z", ["o2", "o1"]),
        ("2026-01-01T04:00:00+03:00", "2026-01-01T00:00:00.000001-03:00", ["o3", "o2", "o1"]),
        ("2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z", []),
    ],
)
def test_a_time_range_includes_its_start_and_excludes_its_end(
    api: InMemoryApi, created_from: str, created_to: str | None, expected: list[str]
) -> None:
    times = {"created_from": created_from} | ({"created_to": created_to} if created_to else {})
    assert uids(api.client.get("/orders", params=times)) == expected


def test_the_link_leads_to_the_next_page_with_the_filters_of_the_request(api: InMemoryApi) -> None:
    query = {"limit": "1", "track_number": "T & 1", "created_from": "2026-01-01T02:00:00+01:00"}
    pages = [api.client.get("/orders", params=query)]
    while link := pages[-1].links.get("next"):
        pages.append(api.client.get(urljoin(str(pages[-1].url), link["url"])))
    assert [uids(page) for page in pages] == [["o5"], ["o3"], ["o1"]]
    assert [page.headers["link"].startswith("<?") for page in pages[:-1]] == [True, True]
    for before, after in pairwise(pages):
        assert dict(after.url.params) == query | {"cursor": before.json()["next_cursor"]}


def test_no_header_repeats_the_customer_of_a_list(api: InMemoryApi) -> None:
    query = {"limit": "1", "customer_id": "c & 1", "track_number": "T & 1"}
    page = api.client.get("/orders", params=query)
    again = api.client.get("/orders", params=query, headers={"If-None-Match": page.headers["etag"]})
    assert ["link" in each.headers for each in (page, again)] == [False, False]
    following = api.client.get("/orders", params=query | {"cursor": page.json()["next_cursor"]})
    assert (uids(page), uids(following)) == (["o5"], ["o3"])


def test_an_unchanged_page_is_not_sent_again(api: InMemoryApi) -> None:
    first = api.client.get("/orders?limit=2")
    again = api.client.get("/orders?limit=2", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert [again.headers[name] for name in ("etag", "link", "cache-control")] == [
        first.headers[name] for name in ("etag", "link", "cache-control")
    ]


def test_a_changed_page_has_another_etag(api: InMemoryApi) -> None:
    tag = api.client.get("/orders?limit=2").headers["etag"]
    api.reader.store(order(order_uid="o5", payment={"amount": 1}))
    changed = api.client.get("/orders?limit=2", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["etag"] == tag) == (200, False)
