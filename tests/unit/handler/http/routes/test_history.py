"""`/orders/{order_uid}/history`: the versions of an order."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.handler.http.security.keys import Keys
from tests.kit.factories import order
from tests.kit.in_memory_api import ORDER, URL, InMemoryApi, problem_of

KEY = "k" * 20
SOURCE = {"topic": "orders", "partition": 0, "timestamp": "1970-01-01T00:00:01.000Z"}


@pytest.fixture
def api() -> Iterator[InMemoryApi]:
    with (made := InMemoryApi()).client:
        yield made


def test_the_versions_of_an_order_are_listed_newest_first_with_what_they_changed(api: InMemoryApi) -> None:
    api.reader.store(order(order_uid="b563feb7b2b84b6test", payment={"amount": 1, "bank": "x"}))
    response = api.client.get(f"{URL}/history")
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.json() == {
        "order_uid": "b563feb7b2b84b6test",
        "replacements": 1,
        "versions": [
            {
                "stored_at": "2026-03-01T12:00:00.000Z",
                "source": SOURCE | {"offset": 1},
                "changed_fields": ["payment.amount", "payment.bank"],
            },
            {"stored_at": "2026-03-01T12:00:00.000Z", "source": SOURCE | {"offset": 0}, "changed_fields": None},
        ],
    }


def test_an_unknown_order_gets_the_response_of_the_order_itself(api: InMemoryApi) -> None:
    problems = [problem_of(api.client.get(f"/orders/unknown{path}"), 404) for path in ("", "/history")]
    assert problems[0] | {"request_id": ""} == problems[1] | {"request_id": ""}


def test_an_erased_order_is_told_from_an_unknown_one(api: InMemoryApi) -> None:
    api.reader.erased["erased"] = datetime(2026, 3, 1, 12, tzinfo=UTC)
    problem = problem_of(api.client.get("/orders/erased/history"), 404)
    assert problem["type"] == "urn:orders:problem:order-erased"
    assert problem["detail"] == "the order was erased at 2026-03-01T12:00:00.000Z"
    assert problem_of(api.client.get("/orders/erased"), 404)["type"] == "urn:orders:problem:order-not-found"


def test_an_order_that_is_stored_although_it_was_erased_has_a_history(api: InMemoryApi) -> None:
    """An earlier release may have stored it."""
    api.reader.erased[ORDER.order_uid] = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert len(api.client.get(f"{URL}/history").json()["versions"]) == 1


def test_a_history_cannot_be_read_while_postgresql_is_unreachable(api: InMemoryApi) -> None:
    api.reader.is_unreachable = True
    problem_of(api.client.get(f"{URL}/history"), 503)


def test_a_history_requires_a_key_that_reads_orders(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {KEY}\ndead-letters {KEY[:-1]}x\n")
    with (api := InMemoryApi(keys=Keys.load(path))).client:
        assert api.client.get(f"{URL}/history", headers={"X-API-Key": KEY}).status_code == 200
        problem_of(api.client.get(f"{URL}/history"), 401)
        problem_of(api.client.get(f"{URL}/history", headers={"X-API-Key": f"{KEY[:-1]}x"}), 403)
