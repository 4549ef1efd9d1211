"""Who may read what, where the API has keys; and the dead letters that are there only then."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.http.keys import Keys
from service.usecases.ports import DeadLetterPage, DeadLetterQuery
from tests.unit.handler.http.test_api import ORDER, URL, Site, problem_of

READS, READS_LETTERS, READS_ALL = "r" * 20, "d" * 20, "a" * 20
LETTERS = "/dead-letters"
ORDER_ROUTES = [URL, "/orders", "/stats"]
OPEN_ROUTES = ["/", "/docs", "/openapi.json", "/livez", "/readyz", "/startupz"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Site]:
    path = tmp_path / "keys"
    path.write_text(f"read {READS}\ndead-letters {READS_LETTERS}\nread,dead-letters {READS_ALL}\n")
    with (made := Site(keys=Keys(path))).client:
        yield made


@pytest.mark.parametrize(
    "header", [("Authorization", "Bearer {}"), ("authorization", "bearer {}"), ("X-API-Key", "{}")]
)
@pytest.mark.parametrize("key", [READS, READS_ALL])
def test_a_key_opens_what_its_scopes_name(locked: Site, header: tuple[str, str], key: str) -> None:
    for path in ORDER_ROUTES:
        assert locked.client.get(path, headers={header[0]: header[1].format(key)}).status_code == 200


@pytest.mark.parametrize("path", [*ORDER_ROUTES, "/events", LETTERS, "/orders/unknown", "/orders/not%20an%20id"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": READS}, {"Authorization": f"Basic {READS}"}, {"X-API-Key": ""}, {"X-API-Key": f"{READS}x"}],
)
def test_without_a_known_key_nothing_is_told_not_even_what_there_is(
    locked: Site, path: str, headers: dict[str, str]
) -> None:
    answer = locked.client.get(path, headers=headers)
    told = problem_of(answer, 401)
    assert told["detail"] in {"missing API key", "unknown API key"}
    assert answer.headers["www-authenticate"] == "Bearer"
    assert READS not in answer.text
    assert locked.client.head(URL, headers=headers).status_code == 401


def test_a_key_in_the_address_opens_nothing(locked: Site) -> None:
    for name in ("key", "api_key", "access_token", "X-API-Key"):
        assert locked.client.get(f"{URL}?{name}={READS}").status_code == 401


@pytest.mark.parametrize(("path", "key", "scope"), [(URL, READS_LETTERS, "read"), (LETTERS, READS, "dead-letters")])
def test_a_key_without_the_scope_is_told_which_one_it_lacks(locked: Site, path: str, key: str, scope: str) -> None:
    told = problem_of(locked.client.get(path, headers={"X-API-Key": key}), 403)
    assert told["detail"] == f"the API key lacks the scope {scope}"


@pytest.mark.parametrize("path", OPEN_ROUTES)
def test_pages_and_probes_need_no_key(locked: Site, path: str) -> None:
    assert locked.client.get(path).status_code == 200


def test_refusals_are_counted_by_template(locked: Site) -> None:
    locked.client.get(URL)
    assert locked.count("/orders/{order_uid}", "GET", "401") == 1


def test_without_keys_there_are_no_dead_letters_and_nobody_asks_kafka() -> None:
    with (site := Site()).client:
        told = problem_of(site.client.get(LETTERS), 404)
    assert "API keys" in told["detail"]
    assert site.dead_letters.queries == []


def test_other_origins_may_send_keys_where_they_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {READS}")
    origin = "https://shop.example"
    with (site := Site(keys=Keys(path), cors_origins=[origin])).client:
        asked = {"origin": origin, "access-control-request-method": "GET"}
        for name in ("authorization", "x-api-key"):
            answer = site.client.options(URL, headers={**asked, "access-control-request-headers": name})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)


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


def shown(site: Site, query: str = "") -> dict[str, object]:
    answer = site.client.get(f"{LETTERS}{query}", headers={"X-API-Key": READS_LETTERS})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    told: dict[str, object] = answer.json()
    return told


def test_a_dead_letter_is_shown_with_its_bytes(locked: Site) -> None:
    dead_letter = DeadLetterRecord(0, 12, 1_764_064_800_123, b"\x00key", b"\xff\xfe" * 20, [*ORIGINAL])
    locked.dead_letters.answer = DeadLetterPage([dead_letter.excerpt(at_most=6)], {0: 12, 3: 8})
    assert shown(locked) == {
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
def test_headers_that_anyone_could_write_break_nothing(locked: Site, headers: list[tuple[str, bytes | None]]) -> None:
    locked.dead_letters.answer = DeadLetterPage([DeadLetterRecord(0, 0, -1, None, None, headers).excerpt(6)], None)
    told = shown(locked)
    assert told["next_cursor"] is None


def test_a_page_is_asked_for_where_the_last_one_ended(locked: Site) -> None:
    shown(locked)
    shown(locked, "?limit=50&cursor=0.12-31.8&reason=invalid&reason=rejected")
    first, second = locked.dead_letters.queries
    assert first == DeadLetterQuery(20)
    assert second == DeadLetterQuery(50, {0: 12, 31: 8}, frozenset({"invalid", "rejected"}))


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=51", "?reason=other", "?cursor=0", "?cursor=0.1-", "?cursor=a.b", "?cursor=0.-1"]
)
def test_a_malformed_query_is_named(locked: Site, query: str) -> None:
    told = problem_of(locked.client.get(LETTERS + query, headers={"X-API-Key": READS_ALL}), 422)
    assert [error["name"] for error in told["errors"]] == [query[1:].partition("=")[0]]


def test_kafka_being_away_is_no_bug(locked: Site) -> None:
    locked.dead_letters.is_away = True
    problem_of(locked.client.get(LETTERS, headers={"X-API-Key": READS_ALL}), 503)


def test_the_order_is_not_in_what_is_refused(locked: Site) -> None:
    assert ORDER.delivery.name not in locked.client.get(URL).text
