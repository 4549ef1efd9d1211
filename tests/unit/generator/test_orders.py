"""Generated orders are valid and realistic."""

import json
import random
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest

from generator.orders import DATE_RANGE, Document, Orders, encode
from service.decoding.decoder import Decoder
from tests.kit.policies import decoding_rules

ORDERS = 2_000
UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fail(problem: object) -> None:
    raise AssertionError(problem)


def strict_decoder() -> Decoder:
    """Return a decoder that rejects unknown fields and amounts that do not add up."""
    return Decoder(
        decoding_rules(amount_mismatch="reject"), on_unknown=fail, on_mismatch=fail, on_coerced=fail, now=lambda: UNTIL
    )


def dates_of(order: Document) -> list[datetime]:
    return [datetime.fromisoformat(order["date_created"]), datetime.fromtimestamp(order["payment"]["payment_dt"], UTC)]


@pytest.fixture(scope="module")
def drawn() -> list[Document]:
    orders = Orders(random.Random(7).random, UNTIL)  # noqa: S311
    return [orders.draw() for _ in range(ORDERS)]


def test_every_order_is_valid_and_its_amounts_add_up(drawn: list[Document]) -> None:
    decoder = strict_decoder()
    for order in drawn:
        assert decoder.decode(encode(order)).order_uid == order["order_uid"]


def test_every_revised_order_is_a_valid_new_version(drawn: list[Document]) -> None:
    decoder, orders = strict_decoder(), Orders(random.Random(8).random, UNTIL)  # noqa: S311
    for order in drawn:
        before = encode(order)
        revised = orders.revise(order)
        decoder.decode(encode(revised))
        assert encode(order) == before
        assert revised != order
        assert revised["order_uid"] == order["order_uid"]


def test_revised_orders_gain_and_lose_items(drawn: list[Document]) -> None:
    orders = Orders(random.Random(8).random, UNTIL)  # noqa: S311
    differences = [len(orders.revise(order)["items"]) - len(order["items"]) for order in drawn]
    assert min(differences) < 0 < max(differences)


def test_an_order_has_three_items_and_1_3_kilobytes_on_average(drawn: list[Document]) -> None:
    counts = [len(order["items"]) for order in drawn]
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert mean(counts) == pytest.approx(3, abs=0.2)
    assert mean(len(encode(order)) for order in drawn) == pytest.approx(1_300, abs=100)


def test_uids_are_unique(drawn: list[Document]) -> None:
    assert len({order["order_uid"] for order in drawn}) == ORDERS


def test_orders_vary_in_city_person_and_currency(drawn: list[Document]) -> None:
    assert len({order["delivery"]["city"] for order in drawn}) > 15
    assert len({order["delivery"]["name"] for order in drawn}) > 300
    assert len({order["delivery"]["phone"] for order in drawn}) > ORDERS * 0.99
    assert len({order["payment"]["currency"] for order in drawn}) > 10


def test_optional_texts_are_absent_null_empty_and_filled(drawn: list[Document]) -> None:
    payments = [order["payment"] for order in drawn]
    for parts, field in ((drawn, "internal_signature"), (payments, "request_id")):
        found = {part[field] and "filled" if field in part else "absent" for part in parts}
        assert found == {"absent", None, "", "filled"}


def test_dates_are_written_in_several_zones_with_and_without_a_fraction(drawn: list[Document]) -> None:
    endings = {order["date_created"][len("2021-11-26T06:22:19") :] for order in drawn}
    assert {"Z", ".5Z", "+03:00", ".042-05:30"} <= endings


def test_dates_end_at_until_in_any_zone(drawn: list[Document]) -> None:
    created, paid = zip(*map(dates_of, drawn), strict=True)
    assert max(created) < UNTIL
    assert max(paid) < UNTIL
    assert UNTIL - max(created) < timedelta(hours=6)  # 30 days of 2,000 orders
    assert UNTIL - min(created) <= DATE_RANGE + timedelta(seconds=1)


def test_another_until_changes_only_the_dates(drawn: list[Document]) -> None:
    later = Orders(random.Random(7).random, UNTIL + timedelta(days=1))  # noqa: S311
    for order in drawn[:100]:
        moved = later.draw()
        assert [date - timedelta(days=1) for date in dates_of(moved)] == dates_of(order)
        undated = {"date_created": None, "payment": None}
        assert moved | undated == order | undated


def test_without_until_orders_are_dated_when_they_are_drawn() -> None:
    times = [UNTIL + timedelta(seconds=10 * number) for number in range(100)]
    clock = iter(times)
    orders = Orders(random.Random(7).random, None, now=lambda: next(clock))  # noqa: S311
    for time in times:
        assert timedelta(0) < time - datetime.fromisoformat(orders.draw()["date_created"]) <= timedelta(seconds=1)


def test_documents_are_compact_utf_8(drawn: list[Document]) -> None:
    value = encode(drawn[0])
    assert value == json.dumps(drawn[0], ensure_ascii=False, separators=(",", ":")).encode()
