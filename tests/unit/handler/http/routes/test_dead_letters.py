"""`/dead-letters`: original bytes, cursors and filters."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.http.security.keys import Keys
from service.usecases.ports.dead_letters import CountsQuery, DeadLetterFilters, DeadLetterQuery
from tests.kit.in_memory_api import InMemoryApi, problem_of

URL = "/dead-letters"
KEY = "k" * 20
ORIGINAL = [
    ("dlq-reason", b"invalid"),
    ("dlq-detail", b"payment.amount: Expected `int`"),
    ("dlq-original-topic", b"orders"),
    ("dlq-original-partition", b"2"),
    ("dlq-original-offset", b"17"),
    ("dlq-original-timestamp", b"1700000000000"),
    ("dlq-failed-at", b"2026-11-25T10:00:00.000Z"),
    ("dlq-attempts", b"1"),
    ("dlq-replays", b"3"),
]
OLDER = [(0, 11), (3, 6), (3, 7)]
"""Partition and offset of dead letters on later pages."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[InMemoryApi]:
    path = tmp_path / "keys"
    path.write_text(f"dead-letters {KEY}\n")
    with (made := InMemoryApi(keys=Keys.load(path))).client:
        yield made


def get(api: InMemoryApi, path: str) -> dict[str, Any]:
    response = api.client.get(f"{URL}{path}", headers={"X-API-Key": KEY})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    document: dict[str, Any] = response.json()
    return document


def test_a_dead_letter_has_its_original_bytes(api: InMemoryApi) -> None:
    dead_letter = DeadLetterRecord(0, 12, 1_764_064_800_123, b"\x00key", b"\xff\xfe" * 20, [*ORIGINAL])
    older = [dead_letter._replace(partition=partition, offset=offset, timestamp_ms=0) for partition, offset in OLDER]
    api.dead_letters.store(*older, dead_letter)
    api.dead_letters.max_bytes = 6
    assert get(api, "?limit=1") == {
        "dead_letters": [
            {
                "partition": 0,
                "offset": 12,
                "timestamp": "2025-11-25T10:00:00.123Z",
                "reason": "invalid",
                "detail": "payment.amount: Expected `int`",
                "failed_at": "2026-11-25T10:00:00.000Z",
                "attempts": "1",
                "replays": 3,
                "is_stub": False,
                "original": {"topic": "orders", "partition": 2, "offset": 17, "timestamp": "2023-11-14T22:13:20.000Z"},
                "key": base64.b64encode(b"\x00key").decode(),
                "value": base64.b64encode(b"\xff\xfe" * 3).decode(),
                "size": 40,
            }
        ],
        "next_cursor": "0.12-3.8",
    }


@pytest.mark.parametrize(
    "headers",
    [[], [("dlq-reason", None)], [("dlq-replays", b"x")], [*ORIGINAL[:5], ("dlq-original-timestamp", b"9" * 18)]],
)
def test_malformed_dead_letter_headers_are_tolerated(api: InMemoryApi, headers: list[tuple[str, bytes | None]]) -> None:
    api.dead_letters.store(DeadLetterRecord(0, 0, -1, None, None, headers))
    document = get(api, "")
    assert document["next_cursor"] is None


def test_the_query_is_passed_on(api: InMemoryApi) -> None:
    get(api, "")
    get(api, "?limit=50&cursor=0.12-31.8&reason=invalid&reason=rejected")
    first, second = api.dead_letters.queries
    assert first == DeadLetterQuery(20)
    assert second == DeadLetterQuery(50, {0: 12, 31: 8}, DeadLetterFilters(frozenset({"invalid", "rejected"})))


def test_the_filters_are_passed_on(api: InMemoryApi) -> None:
    before = datetime.now(UTC)
    get(api, "?since=2026-11-23T10:00:00Z&until=90m&order=a%20b&text=%C3%A4")
    filters = api.dead_letters.queries[0].filters
    assert filters.until is not None
    assert before <= filters.until + timedelta(minutes=90) <= datetime.now(UTC)
    assert filters == DeadLetterFilters(
        since=datetime(2026, 11, 23, 10, tzinfo=UTC),
        until=filters.until,
        order="a b",
        text="\N{LATIN SMALL LETTER A WITH DIAERESIS}",
    )


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=51",
        "?reason=other",
        "?cursor=0",
        "?cursor=0.1-",
        "?cursor=a.b",
        "?cursor=0.-1",
        "?since=yesterday",
        "?since=2026-11-23T10:00:00",
        "?until=40",
        "?until=",
        "?order=",
        "?text=%00",
    ],
)
def test_a_malformed_parameter_is_reported_by_name(api: InMemoryApi, query: str) -> None:
    document = problem_of(api.client.get(URL + query, headers={"X-API-Key": KEY}), 422)
    assert [error["name"] for error in document["errors"]] == [query[1:].partition("=")[0]]


@pytest.mark.parametrize("path", ["", "/0/0", "/counts"])
def test_unreachable_kafka_is_a_503(api: InMemoryApi, path: str) -> None:
    api.dead_letters.is_unreachable = True
    problem_of(api.client.get(URL + path, headers={"X-API-Key": KEY}), 503)


def test_one_dead_letter_has_its_complete_bytes_and_all_headers(api: InMemoryApi) -> None:
    headers = [("trace", b"\x1b[2J"), ("null", None), *ORIGINAL]
    api.dead_letters.store(DeadLetterRecord(3, 6, 1_764_064_800_123, b"key", b"x" * 100_000, headers))
    document = get(api, "/3/6")
    assert base64.b64decode(document["value"]) == b"x" * 100_000
    assert (document["partition"], document["offset"], document["size"]) == (3, 6, 100_000)
    assert document["headers"][:3] == [
        {"name": "trace", "value": "\N{REPLACEMENT CHARACTER}[2J"},
        {"name": "null", "value": None},
        {"name": "dlq-reason", "value": "invalid"},
    ]


def test_a_missing_dead_letter_is_a_404(api: InMemoryApi) -> None:
    document = problem_of(api.client.get(f"{URL}/3/6", headers={"X-API-Key": KEY}), 404)
    assert document["detail"] == "no dead letter at this partition and offset"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/-1/0", "partition"), (f"/{2**31}/0", "partition"), ("/0/x", "offset"), (f"/0/{2**63}", "offset"),
     ("/counts?bucket=2m", "bucket"), ("/counts?since=now", "since")],
)  # fmt: skip
def test_a_value_out_of_range_is_reported_by_name(api: InMemoryApi, path: str, name: str) -> None:
    document = problem_of(api.client.get(URL + path, headers={"X-API-Key": KEY}), 422)
    assert [error["name"] for error in document["errors"]] == [name]


def test_counts_have_every_bucket_until_now(api: InMemoryApi) -> None:
    now_ms = datetime.now(UTC).timestamp() * 1_000
    recent = DeadLetterRecord(0, 0, round(now_ms) - 1_000, None, None, [*ORIGINAL])
    api.dead_letters.store(recent, recent._replace(offset=1, headers=[("dlq-reason", b"rejected")]))
    document = get(api, "/counts?since=3h&bucket=1h")
    assert (document["complete"], document["counted_since"]) == (True, document["since"])
    assert document["counts"] == {"invalid": 1, "rejected": 1}
    starts = [datetime.fromisoformat(bucket["start"]) for bucket in document["buckets"]]
    assert [start.minute for start in starts] == [0, 0, 0, 0]
    assert [later - earlier for earlier, later in pairwise(starts)] == [timedelta(hours=1)] * 3
    assert starts[0] == datetime.fromisoformat(document["since"])
    assert starts[-1] <= datetime.fromisoformat(document["until"]) <= starts[-1] + timedelta(hours=1)


def test_incomplete_counts_say_since_when_they_are_complete(api: InMemoryApi) -> None:
    old = DeadLetterRecord(0, 0, round(datetime.now(UTC).timestamp() * 1_000) - 3_600_000, None, None, [])
    api.dead_letters.store(old)
    api.dead_letters.counted_since_ms = old.timestamp_ms + 1
    document = get(api, "/counts")
    assert (document["complete"], document["counts"]) == (False, {})
    assert document["counted_since"] > document["since"]


@pytest.mark.parametrize(
    ("since", "seconds"),
    [("", 3_600), ("1m", 60), ("58m", 60), ("2h", 300), ("10h", 900), ("40d", 86_400), ("999d", 86_400)],
)
def test_buckets_are_chosen_by_the_time_that_is_counted(api: InMemoryApi, since: str, seconds: int) -> None:
    document = get(api, f"/counts?since={since}" if since else "/counts")
    assert document["bucket_seconds"] == seconds
    assert len(document["buckets"]) <= (60 if seconds < 86_400 else 1_000)


@pytest.mark.parametrize("query", ["since=2d&bucket=1m", "since=2000-01-01T00:00:00Z", "since=0001-01-01T00:00:00Z"])
def test_counts_have_at_most_a_thousand_buckets(api: InMemoryApi, query: str) -> None:
    document = get(api, f"/counts?{query}")
    assert 999 <= len(document["buckets"]) <= 1_000
    assert document["since"] == document["buckets"][0]["start"]


def test_counts_of_the_future_have_one_bucket(api: InMemoryApi) -> None:
    assert len(get(api, "/counts?since=9999-12-31T00:00:00Z")["buckets"]) == 1


def test_requests_within_a_bucket_share_a_query(api: InMemoryApi) -> None:
    get(api, "/counts?since=2026-11-23T10:00:01Z&bucket=1d")
    get(api, "/counts?since=2026-11-23T22:00:00%2B01:00&bucket=1d")
    assert {*api.dead_letters.counts_queries} == {CountsQuery(datetime(2026, 11, 23, tzinfo=UTC), 86_400)}
