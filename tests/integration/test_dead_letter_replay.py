"""`POST /dead-letters/replay` from an API over Kafka and a consumer to PostgreSQL."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.json import encode

from service.entities.dead_letter_headers import Header, read_origin
from tests.kit.factories import SAMPLE, Document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, headers, metric, orders
from tests.kit.processes import Service
from tests.kit.waiting import eventually

KEY, READING_KEY = "k" * 20, "r" * 20
BROKEN: Document = SAMPLE | {"sm_id": "99"}
EDITED: Document = SAMPLE | {"entry": "edited"}
UID = SAMPLE["order_uid"]


ALIASES = {"ORDERS_DOCUMENT__ALIASES": '{"id": "order_uid"}'}


@pytest.fixture
def variables() -> dict[str, str]:
    """Settings of the API."""
    return {}


@pytest.fixture
def api(harness: Harness, tmp_path: Path, variables: dict[str, str]) -> Service:
    keys = tmp_path / "keys"
    keys.write_text(f"desk read,replay {KEY}\nread,dead-letters {READING_KEY}\n")
    return harness.spawn("api", settings={**harness.settings, "ORDERS_AUTH__KEYS_FILE": str(keys), **variables}).ready()


def replay(api: Service, content: object, **more: str) -> httpx2.Response:
    return httpx2.post(
        f"{api.url}/dead-letters/replay", json=content, headers={"X-API-Key": KEY, **more}, timeout=TIMEOUT_SECONDS * 4
    )


def outcomes(response: httpx2.Response) -> list[tuple[int, int, str]]:
    """Return the place and the outcome of each dead letter."""
    assert response.status_code == HTTPStatus.OK, response.text
    found: list[dict[str, Any]] = response.json()["dead_letters"]
    return [(each["partition"], each["offset"], each["refusal"] or each["outcome"]) for each in found]


def place(partition: int = 0, offset: int = 0) -> dict[str, int]:
    return {"partition": partition, "offset": offset}


def get_order(api: Service) -> httpx2.Response:
    return httpx2.get(f"{api.url}/orders/{UID}", headers={"X-API-Key": KEY}, timeout=TIMEOUT_SECONDS)


def test_an_edited_dead_letter_becomes_a_stored_order(harness: Harness, api: Service) -> None:
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.produce(*orders([BROKEN]))
    (dead_letter,) = eventually(harness.dead_letters, what="the order is dead-lettered")
    at = place(dead_letter.partition() or 0)
    invalid = replay(api, {"dead_letters": [at], "value": BROKEN})
    assert [(each["name"], each["rule"]) for each in invalid.json()["errors"]] == [
        ("value.sm_id", "Expected int, got str")
    ]
    other = replay(api, {"dead_letters": [at], "value": SAMPLE | {"order_uid": "other"}})
    dry = replay(api, {"dead_letters": [at], "value": EDITED, "dry_run": True})
    assert [outcome for response in (other, dry) for *_, outcome in outcomes(response)] == [
        "other-order",
        "would-be-sent",
    ]
    assert len(harness.messages(harness.topic)) == 1
    assert outcomes(replay(api, {"dead_letters": [at], "value": EDITED})) == [(at["partition"], 0, "sent")]
    eventually(lambda: get_order(api).status_code == HTTPStatus.OK, what="the order is stored")
    assert get_order(api).json() == EDITED
    assert [each.value() for each in harness.dead_letters()] == [encode(BROKEN)]
    _, replayed = sorted(harness.messages(harness.topic), key=lambda message: message.timestamp()[1])
    assert replayed.key() == UID.encode()
    assert read_origin(headers(replayed)) == read_origin(headers(dead_letter))
    assert (Header.REPLAYED_BY, b"desk") in headers(replayed)
    assert metric(api, "orders_dead_letter_replays_total", outcome="sent") == 1
    assert metric(api, "orders_dead_letter_replays_total", outcome="refused") == 1
    logged = [msgspec.json.decode(line) for line in api.log.read_text().splitlines()]
    events = [each for each in logged if each["event"] == "dead letters replayed"]
    assert [(each["replayed_by"], each["edited"]) for each in events] == [("desk", True)] * 2
    assert UID not in str(events)
    assert KEY not in str(events)


@pytest.mark.parametrize("variables", [ALIASES], ids=["aliases"])
def test_an_edit_must_be_of_the_order_under_its_alias_in_an_envelope(harness: Harness, api: Service) -> None:
    harness.consumer(**ALIASES, ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    broken = {name: value for name, value in BROKEN.items() if name != "order_uid"} | {"id": UID}
    event = {"specversion": "1.0", "id": "other", "source": "/shop", "type": "order", "data": broken}
    (sent,) = orders([SAMPLE])
    harness.produce(sent._replace(key=b"other", value=encode(event)))
    (dead_letter,) = eventually(harness.dead_letters, what="the order is dead-lettered")
    at = place(dead_letter.partition() or 0)
    other, same = (
        replay(api, {"dead_letters": [at], "value": event | {"data": EDITED | {"order_uid": uid}}})
        for uid in ("other", UID)
    )
    assert [outcome for response in (other, same) for *_, outcome in outcomes(response)] == ["other-order", "sent"]
    eventually(lambda: get_order(api).status_code == HTTPStatus.OK, what="the order is stored")
    assert get_order(api).json() == EDITED


def test_the_dead_letters_of_an_order_are_replayed(harness: Harness, api: Service) -> None:
    for number, document in enumerate([SAMPLE, SAMPLE | {"order_uid": "other"}, SAMPLE]):
        harness.produce_dead_letter(document, offset=number)
    assert outcomes(replay(api, {"order_uid": UID})) == [(0, 0, "sent"), (0, 2, "sent")]
    assert [each.key() for each in harness.messages(harness.topic)] == [UID.encode()] * 2
    assert outcomes(replay(api, {"order_uid": "unknown"})) == []


def test_what_must_not_be_replayed_is_refused_for_a_reason(harness: Harness, api: Service) -> None:
    harness.produce_dead_letter(SAMPLE, offset=0)
    looping = {"dead_letters": [place()], "max_replays": 0}
    assert outcomes(replay(api, looping)) == [(0, 0, "replayed-too-often")]
    unknown = [place(0, 1), place(0, 2**63 - 1), place(2, 0), place(2**31 - 1, 0)]
    assert {outcome for *_, outcome in outcomes(replay(api, {"dead_letters": unknown}))} == {"missing"}
    assert harness.messages(harness.topic) == []


def test_a_request_with_the_same_idempotency_key_sends_once(harness: Harness, api: Service) -> None:
    harness.produce_dead_letter(SAMPLE, offset=0)
    request = {"dead_letters": [place()]}
    first, again = (replay(api, request, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert outcomes(first) == outcomes(again) == [(0, 0, "sent")]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(harness.messages(harness.topic)) == 1
    other = replay(api, {"order_uid": UID}, **{"Idempotency-Key": "one"})
    assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_key_without_the_scope_replays_nothing(harness: Harness, api: Service) -> None:
    harness.produce_dead_letter(SAMPLE, offset=0)
    response = replay(api, {"order_uid": UID}, **{"X-API-Key": READING_KEY})
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert "scope replay" in response.json()["detail"]
    assert harness.messages(harness.topic) == []


def test_while_kafka_is_unreachable_a_replay_is_answered_in_time(harness: Harness, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"desk replay {KEY}\n")
    unreachable = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "ORDERS_AUTH__KEYS_FILE": str(keys)}
    api = harness.spawn("api", settings={**harness.settings, **unreachable}).ready()
    response = replay(api, {"order_uid": UID}, **{"Idempotency-Key": "one"})
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.headers["retry-after"]
    assert "request failed" not in api.log.read_text()
    assert httpx2.get(f"{api.url}/livez").status_code == HTTPStatus.OK
