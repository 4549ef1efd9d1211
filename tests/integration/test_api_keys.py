"""API keys and dead letters of the API as a separate process."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import httpx2
import pytest

from tests.kit.harness import Harness, Sent, metric
from tests.kit.processes import Service, Spawn
from tests.kit.waiting import eventually

STREAM_TIMEOUT_SECONDS = 10.0
REVOKED_WITHIN_SECONDS = 4.0
"""Two reads of the file, a second apart, plus the delay of a busy machine."""
FIRST, SECOND = "f" * 20, "s" * 20
UNKNOWN_ORDER = "/orders/unknown"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"read,dead-letters {FIRST}\n")
    return path


@pytest.fixture
def api(spawn: Spawn, settings: dict[str, str], keys: Path) -> Service:
    return spawn("api", settings=settings | {"ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()


def status(service: Service, path: str, key: str) -> int:
    return httpx2.get(f"{service.url}{path}", headers={"Authorization": f"Bearer {key}"}).status_code


def test_keys_are_rotated_without_a_restart_or_a_gap(api: Service, keys: Path) -> None:
    assert (status(api, UNKNOWN_ORDER, FIRST), status(api, UNKNOWN_ORDER, SECOND)) == (404, 401)
    keys.write_text(f"read {FIRST}\nread {SECOND}\n")
    eventually(lambda: status(api, UNKNOWN_ORDER, SECOND) == 404)
    assert status(api, UNKNOWN_ORDER, FIRST) == 404
    keys.write_text(f"read {SECOND}\n")
    eventually(lambda: status(api, UNKNOWN_ORDER, FIRST) == 401)
    assert status(api, UNKNOWN_ORDER, SECOND) == 404
    log = api.log.read_text()
    assert FIRST not in log
    assert SECOND not in log


def test_streams_are_closed_when_the_keys_change(api: Service, keys: Path) -> None:
    with httpx2.stream("GET", f"{api.url}/events", headers={"X-API-Key": FIRST}, timeout=30) as stream:
        assert stream.status_code == 200
        keys.write_text(f"read {SECOND}\n")
        with pytest.raises(httpx2.RemoteProtocolError):
            read_until_closed(stream)


def read_until_closed(stream: httpx2.Response) -> None:
    """Read to the end of the stream. Raises AssertionError at a heartbeat after the timeout."""
    began = monotonic()
    for _ in stream.iter_raw():
        assert monotonic() - began < STREAM_TIMEOUT_SECONDS, "the stream was not closed"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (f"reads {FIRST}", "line 1: unknown scope, expected read or dead-letters or replay"),
        (f"# read {FIRST}", "contains no keys"),
    ],
)
def test_the_api_does_not_start_without_a_valid_key(
    spawn: Spawn, settings: dict[str, str], keys: Path, text: str | None, problem: str
) -> None:
    keys.unlink() if text is None else keys.write_text(text)
    service = spawn("api", settings=settings | {"ORDERS_AUTH__KEYS_FILE": str(keys)})
    assert service.process.wait(30) == 2
    assert service.log.read_text() == f"orders: ORDERS_AUTH__KEYS_FILE: {problem}\n"


def comment_out(keys: Path) -> None:
    keys.write_text(f"# read,dead-letters {FIRST}\n")


def empty(keys: Path) -> None:
    keys.write_text("")


def delete(keys: Path) -> None:
    keys.unlink()


@pytest.mark.parametrize("revoke", [comment_out, empty, delete])
def test_a_revoked_key_is_rejected_within_seconds(api: Service, keys: Path, revoke: Callable[[Path], None]) -> None:
    assert (metric(api, "orders_api_keys"), metric(api, "orders_api_keys_file_errors")) == (1, 0)
    assert status(api, UNKNOWN_ORDER, FIRST) == 404
    revoke(keys)
    eventually(lambda: status(api, UNKNOWN_ORDER, FIRST) == 401, REVOKED_WITHIN_SECONDS, "401")
    assert status(api, "/dead-letters", FIRST) == 401
    assert (metric(api, "orders_api_keys"), metric(api, "orders_api_keys_file_errors")) == (0, 1)
    assert [line["keys"] for line in api.logged("the API key file has errors")][-1] == 0
    assert api.process.poll() is None
    keys.write_text(f"read {SECOND}\n")
    eventually(lambda: status(api, UNKNOWN_ORDER, SECOND) == 404)
    assert metric(api, "orders_api_keys_file_errors") == 0


def test_a_malformed_line_is_counted_and_the_other_keys_are_loaded(api: Service, keys: Path) -> None:
    keys.write_text(f"read {FIRST}\nread {SECOND} malformed\nread {SECOND}\n")
    eventually(lambda: status(api, UNKNOWN_ORDER, SECOND) == 404, what="the new key is accepted")
    assert status(api, UNKNOWN_ORDER, FIRST) == 404
    assert (metric(api, "orders_api_keys"), metric(api, "orders_api_keys_file_errors")) == (2, 1)


def test_the_api_starts_with_a_malformed_line_and_ignores_it(
    spawn: Spawn, settings: dict[str, str], keys: Path
) -> None:
    keys.write_text(f"reads {SECOND}\nread {FIRST}\n")
    service = spawn("api", settings=settings | {"ORDERS_AUTH__KEYS_FILE": str(keys)}).ready()
    assert (status(service, UNKNOWN_ORDER, FIRST), status(service, UNKNOWN_ORDER, SECOND)) == (404, 401)
    eventually(lambda: service.logged("the API key file has errors"))


def test_a_dead_letter_is_served_with_reason_and_bytes(api: Service, harness: Harness) -> None:
    harness.produce(Sent(b"not an order"))
    harness.consumer()
    (dead_letter,) = eventually(lambda: dead_letters(api))
    assert (dead_letter["reason"], dead_letter["value"], dead_letter["size"]) == ("undecodable", "bm90IGFuIG9yZGVy", 12)
    assert (dead_letter["original"]["topic"], dead_letter["original"]["offset"]) == (harness.topic, 0)


def dead_letters(service: Service) -> list[dict[str, Any]]:
    response = httpx2.get(f"{service.url}/dead-letters", headers={"X-API-Key": FIRST})
    found: list[dict[str, Any]] = response.json()["dead_letters"]
    return found
