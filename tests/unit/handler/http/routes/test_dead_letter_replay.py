"""`POST /dead-letters/replay`: which requests it accepts, and what it answers, counts and logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import encode
from structlog.testing import capture_logs

from service.entities.dead_letter_record import DeadLetterId
from service.errors import KafkaUnavailable, TooManyDeadLetters
from service.handler.http.security.keys import Keys
from service.usecases.ports.replay import OfOrder, ReplayRefusal, Selected
from tests.kit.factories import SAMPLE
from tests.kit.in_memory_api import CLIENT_VALUE, InMemoryApi, problem_of

URL = "/dead-letters/replay"
KEY, OTHER_KEY, READING_KEY = "k" * 20, "o" * 20, "r" * 20
PLACE = {"partition": 0, "offset": 15}
ONE = {"dead_letters": [PLACE]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[InMemoryApi]:
    keys = tmp_path / "keys"
    keys.write_text(f"desk replay {KEY}\nother replay {OTHER_KEY}\nread,dead-letters {READING_KEY}\n")
    with (made := InMemoryApi(keys=Keys.load(keys))).client:
        yield made


def post(api: InMemoryApi, content: object, key: str = KEY, **headers: str) -> Any:
    payload = content if isinstance(content, bytes) else encode(content)
    named = {"content_type": "application/json", "x_api_key": key, **headers}
    return api.client.post(
        URL, content=payload, headers={name.replace("_", "-"): value for name, value in named.items()}
    )


def type_of(response: Any, status: int) -> str:
    kind: str = problem_of(response, status)["type"]
    return kind.removeprefix("urn:orders:problem:")


def rules_of(response: Any) -> dict[str, str]:
    errors = problem_of(response, 422)["errors"]
    assert {error["in"] for error in errors} == {"body"}
    return {error["name"]: error["rule"] for error in errors}


def test_every_dead_letter_is_answered_for_itself(api: InMemoryApi) -> None:
    api.replayer.refusals = {(1, 7): ReplayRefusal.MISSING}
    response = post(api, {"dead_letters": [PLACE, {"partition": 1, "offset": 7}]})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "dry_run": False, "sent": 1, "refused": 1,
        "dead_letters": [
            {**PLACE, "outcome": "sent", "refusal": None, "detail": None},
            {"partition": 1, "offset": 7, "outcome": "refused", "refusal": "missing",
             "detail": "partition 1, offset 7 has no dead letter"},
        ],
    }  # fmt: skip
    (request,) = api.replayer.requests
    assert (request.which, request.replayed_by) == (Selected([DeadLetterId(0, 15), DeadLetterId(1, 7)]), "desk")
    assert (request.max_replays, request.rate) == (3, 0)


def test_a_replay_has_the_rate_of_the_request(api: InMemoryApi) -> None:
    assert post(api, ONE | {"rate": 12.5}).status_code == 200
    assert [request.rate for request in api.replayer.requests] == [12.5]


def test_an_order_is_chosen_by_its_uid(api: InMemoryApi) -> None:
    assert post(api, {"order_uid": "a", "max_replays": 0}).json()["dead_letters"] == []
    (request,) = api.replayer.requests
    assert (request.which, request.max_replays) == (OfOrder("a"), 0)


def test_a_dry_run_is_neither_counted_nor_logged(api: InMemoryApi) -> None:
    with capture_logs() as logs:
        answer = post(api, ONE | {"dry_run": True}).json()
    assert [each["outcome"] for each in answer["dead_letters"]] == ["would-be-sent"]
    assert (api.replayer.requests[0].is_dry_run, logs) == (True, [])
    assert api.outcomes() == {"sent": 0, "refused": 0}


def test_a_replay_is_counted_and_logged_with_the_name_of_the_key(api: InMemoryApi) -> None:
    api.replayer.refusals = {(1, 7): ReplayRefusal.STUB}
    with capture_logs() as logs:
        response = post(api, {"dead_letters": [PLACE, {"partition": 1, "offset": 7}]})
    (log,) = logs
    assert log == {
        "event": "dead letters replayed", "log_level": "info", "request_id": response.headers["x-request-id"],
        "replayed_by": "desk", "edited": False, "sent": ["partition 0, offset 15"],
        "refused": ["partition 1, offset 7: stub"],
    }  # fmt: skip
    assert api.outcomes() == {"sent": 1, "refused": 1}


def test_an_edited_value_is_sent_byte_for_byte(api: InMemoryApi) -> None:
    value = encode(SAMPLE).replace(b'"sm_id":99', b'"sm_id": 9007199254740993')
    with capture_logs() as logs:
        assert (
            post(api, b'{"dead_letters": [{"partition": 0, "offset": 15}], "value":' + value + b"}").status_code == 200
        )
    edited = api.replayer.requests[0].edited
    assert edited == (value, SAMPLE["order_uid"])
    assert SAMPLE["order_uid"] not in str(logs)


def test_an_invalid_edited_value_is_refused_with_paths_and_rules(api: InMemoryApi) -> None:
    response = post(api, ONE | {"value": SAMPLE | {"sm_id": CLIENT_VALUE, "entry": None}})
    assert rules_of(response) == {"value.sm_id": "Expected int, got str", "value.entry": "Expected str, got null"}
    assert rules_of(post(api, ONE | {"value": None})).keys() == {"value"}
    assert api.replayer.requests == []


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        ({}, {"": "exactly one of dead_letters and order_uid is required"}),
        (ONE | {"order_uid": "a"}, {"": "exactly one of dead_letters and order_uid is required"}),
        ([], {"": "Expected object, got array"}),
        ({"dead_letters": []}, {"dead_letters": "Expected array of length >= 1"}),
        ({"dead_letters": [PLACE] * 101}, {"dead_letters": "Expected array of length <= 100"}),
        ({"dead_letters": [{"partition": 0}]}, {"dead_letters[0]": "Object missing required field offset"}),
        ({"dead_letters": [PLACE | {"offset": -1}]}, {"dead_letters[0].offset": "Expected int >= 0"}),
        (
            {"dead_letters": [PLACE | {"offset": 2**63}]},
            {"dead_letters[0].offset": "Expected int <= 9223372036854775807"},
        ),
        ({"order_uid": ""}, {"order_uid": "Expected str of length >= 1"}),
        (ONE | {"max_replays": -1}, {"max_replays": "Expected int >= 0"}),
        (ONE | {"rate": 9}, {"rate": "Expected float >= 10.0"}),
        (ONE | {CLIENT_VALUE: 1}, {"": "unknown member"}),
        ({"order_uid": "a", "value": SAMPLE}, {"value": "requires exactly one dead letter"}),
        ({"dead_letters": [PLACE, PLACE], "value": SAMPLE}, {"value": "requires exactly one dead letter"}),
    ],
)
def test_an_invalid_request_is_refused_with_paths_and_rules(
    api: InMemoryApi, content: object, rules: dict[str, str]
) -> None:
    assert rules_of(post(api, content)) == rules
    assert api.replayer.requests == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"value": ' + b"[" * 100_000])
def test_malformed_json_is_refused(api: InMemoryApi, content: bytes) -> None:
    assert type_of(post(api, content), 400) == "malformed-body"


@pytest.mark.parametrize("media_type", ["text/plain", "application/json-seq", ""])
def test_a_body_that_is_not_declared_as_json_is_refused(api: InMemoryApi, media_type: str) -> None:
    assert type_of(post(api, ONE, content_type=media_type), 415) == "unsupported-media-type"
    assert post(api, ONE, content_type="Application/JSON; charset=utf-8").status_code == 200


def test_a_body_that_is_too_large_is_refused(api: InMemoryApi) -> None:
    limit = 2**20 + 2**16
    content = encode(ONE)
    assert post(api, content.ljust(limit)).status_code == 200
    assert type_of(post(api, content.ljust(limit + 1)), 413) == "body-too-large"


def test_only_keys_with_the_scope_may_replay(api: InMemoryApi) -> None:
    assert "scope replay" in problem_of(post(api, ONE, READING_KEY), 403)["detail"]
    problem_of(post(api, ONE, "u" * 20), 401)
    with (open_api := InMemoryApi()).client:
        assert type_of(post(open_api, ONE), 404) == "dead-letters-disabled"
    assert api.replayer.requests == open_api.replayer.requests == []


def test_a_request_that_is_repeated_with_its_key_sends_nothing(api: InMemoryApi) -> None:
    first, again = (post(api, ONE, idempotency_key="one") for _ in range(2))
    assert (first.content, "idempotency-replayed" in first.headers) == (again.content, False)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(api.replayer.requests) == 1
    assert type_of(post(api, {"order_uid": "a"}, idempotency_key="one"), 422) == "idempotency-key-reused"
    assert post(api, ONE, OTHER_KEY, idempotency_key="one").status_code == 200
    assert [request.replayed_by for request in api.replayer.requests] == ["desk", "other"]


@pytest.mark.parametrize("key", ["", "a b", "a" * 129])
def test_an_invalid_idempotency_key_is_refused(api: InMemoryApi, key: str) -> None:
    (error,) = problem_of(post(api, ONE, idempotency_key=key), 422)["errors"]
    assert (error["in"], error["name"]) == ("header", "Idempotency-Key")


def test_errors_are_answered_and_the_request_may_be_repeated(api: InMemoryApi) -> None:
    api.replayer.error = KafkaUnavailable("Kafka is unreachable; dead letters may have been sent")
    with capture_logs() as logs:
        problem_of(post(api, ONE, idempotency_key="one"), 503)
    assert [(log["event"], log["replayed_by"], log["problem"]) for log in logs] == [
        ("replaying dead letters failed", "desk", "Kafka is unreachable; dead letters may have been sent")
    ]
    api.replayer.error = TooManyDeadLetters(100)
    assert type_of(post(api, ONE, idempotency_key="one"), 422) == "too-many-dead-letters"
    api.replayer.error = None
    assert "idempotency-replayed" not in post(api, ONE, idempotency_key="one").headers
