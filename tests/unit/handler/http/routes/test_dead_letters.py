"""`/dead-letters`: original bytes, cursors and filters."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.http.keys import Keys
from service.usecases.ports import DeadLetterQuery
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


def dead_letters_page(api: InMemoryApi, query: str = "") -> dict[str, object]:
    response = api.client.get(f"{URL}{query}", headers={"X-API-Key": KEY})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    document: dict[str, object] = response.json()
    return document


def test_a_dead_letter_has_its_original_bytes(api: InMemoryApi) -> None:
    dead_letter = DeadLetterRecord(0, 12, 1_764_064_800_123, b"\x00key", b"\xff\xfe" * 20, [*ORIGINAL])
    older = [dead_letter._replace(partition=partition, offset=offset, timestamp_ms=0) for partition, offset in OLDER]
    api.dead_letters.store(*older, dead_letter)
    api.dead_letters.max_bytes = 6
    assert dead_letters_page(api, "?limit=1") == {
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
    document = dead_letters_page(api)
    assert document["next_cursor"] is None


def test_the_query_is_passed_on(api: InMemoryApi) -> None:
    dead_letters_page(api)
    dead_letters_page(api, "?limit=50&cursor=0.12-31.8&reason=invalid&reason=rejected")
    first, second = api.dead_letters.queries
    assert first == DeadLetterQuery(20)
    assert second == DeadLetterQuery(50, {0: 12, 31: 8}, frozenset({"invalid", "rejected"}))


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=51", "?reason=other", "?cursor=0", "?cursor=0.1-", "?cursor=a.b", "?cursor=0.-1"]
)
def test_a_malformed_parameter_is_reported_by_name(api: InMemoryApi, query: str) -> None:
    document = problem_of(api.client.get(URL + query, headers={"X-API-Key": KEY}), 422)
    assert [error["name"] for error in document["errors"]] == [query[1:].partition("=")[0]]


def test_unreachable_kafka_is_a_503(api: InMemoryApi) -> None:
    api.dead_letters.is_unreachable = True
    problem_of(api.client.get(URL, headers={"X-API-Key": KEY}), 503)
