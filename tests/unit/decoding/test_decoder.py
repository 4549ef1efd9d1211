"""The decoder lets orders through, names what is wrong with everything else, and crashes on nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.entities.dead_letter import Reason
from service.entities.order import MAX_BIGINT, MAX_ITEMS, Order
from tests.kit.decoding import CITY, LEAVES, CountingDecoder, changed, encoded, located, with_text
from tests.kit.factories import SAMPLE, order_document
from tests.kit.policies import decoding_rules


def optional_fields(part: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    """Yield the path of each field that may be absent."""
    for field in msgspec.structs.fields(part):
        if field.default is None:
            yield f"{path}{field.name}"
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from optional_fields(field.type, f"{path}{field.name}.")


OPTIONAL = list(optional_fields(Order))


# What an order is


def test_the_sample_of_the_contract_is_accepted_unchanged(decoder: CountingDecoder) -> None:
    order = decoder.decode(encoded(SAMPLE))
    assert msgspec.to_builtins(order) == SAMPLE
    assert (decoder.unknown, decoder.mismatches) == (0, {})


def test_text_in_any_script_is_accepted_unchanged(decoder: CountingDecoder) -> None:
    document = order_document(delivery={"name": "Ünï 测试 🧘🏽 \\N \t\n\r\x7f\u2028"})
    assert msgspec.to_builtins(decoder.decode(encoded(document))) == document


@pytest.mark.parametrize("path", OPTIONAL)
def test_an_absent_optional_field_is_a_null_one_and_not_an_empty_one(decoder: CountingDecoder, path: str) -> None:
    document = order_document()
    container, key = located(document, path)
    del container[key]
    absent = decoder.decode(encoded(document))
    container[key] = ""
    empty = decoder.decode(encoded(document))
    assert key not in located(msgspec.to_builtins(absent), path)[0]
    assert located(msgspec.to_builtins(empty), path)[0][key] == ""
    assert absent != empty
    container[key] = None
    assert decoder.decode(encoded(document)) == absent


# What is rejected, and what the detail names

BAD = [
    ("text of no order", b"hello", Reason.UNDECODABLE, ""),
    ("half a document", encoded(SAMPLE)[:400], Reason.UNDECODABLE, ""),
    ("something behind the document", encoded(SAMPLE) + b" x", Reason.UNDECODABLE, ""),
    ("a second document", encoded(SAMPLE) * 2, Reason.UNDECODABLE, ""),
    ("a NUL behind the document", encoded(SAMPLE) + b"\0", Reason.UNDECODABLE, ""),
    ("a byte order mark", b"\xef\xbb\xbf" + encoded(SAMPLE), Reason.UNDECODABLE, ""),
    ("text that is not UTF-8", with_text(CITY, b'"\xff"'), Reason.UNDECODABLE, ""),
    ("UTF-8 cut in a character", with_text(CITY, b'"\xf0\x9f\xa7"'), Reason.UNDECODABLE, ""),
    ("a key that is not UTF-8", encoded(SAMPLE)[:-1] + b',"\xff":1}', Reason.UNDECODABLE, ""),
    ("a surrogate in UTF-8", with_text(CITY, b'"\xed\xa0\x80"'), Reason.UNDECODABLE, ""),
    ("a lone high surrogate", with_text(CITY, rb'"\ud83e"'), Reason.UNDECODABLE, ""),
    ("a lone low surrogate", with_text(CITY, rb'"\uddd8"'), Reason.UNDECODABLE, ""),
    ("a raw NUL in a text", with_text(CITY, b'"a\0b"'), Reason.UNDECODABLE, ""),
    ("NaN", with_text("payment.amount", b"NaN"), Reason.UNDECODABLE, ""),
    ("Infinity", with_text("payment.amount", b"-Infinity"), Reason.UNDECODABLE, ""),
    ("a number beyond a double", with_text("payment.amount", b"1e400"), Reason.UNDECODABLE, ""),
    ("33 levels", with_text("extra", b"[" * 32 + b"]" * 32), Reason.UNDECODABLE, ""),
    ("100,000 levels", b"[" * 100_000, Reason.UNDECODABLE, ""),
    ("100,000 closed levels", with_text("extra", b"[" * 100_000 + b"]" * 100_000), Reason.UNDECODABLE, ""),
    ("100,000 objects", b'{"a":' * 100_000, Reason.UNDECODABLE, ""),
    ("a list", b"[]", Reason.INVALID, ""),
    ("an empty object", b"{}", Reason.INVALID, "order_uid"),
    ("an escaped NUL", encoded(changed(CITY, "a\0b")), Reason.INVALID, CITY),
    ("an escaped NUL in an item", encoded(changed("items[0].name", "\0")), Reason.INVALID, "items[0].name"),
    ("an escaped NUL in an unknown field", encoded(changed("extra", ["\0"])), Reason.INVALID, ""),
    ("an escaped NUL in an unknown key", encoded(changed("extra", {"\0": 1})), Reason.INVALID, ""),
    ("a key that becomes bad", encoded(SAMPLE)[:-1] + b',"sm_id":"x"}', Reason.INVALID, "sm_id"),
    ("null for a text", encoded(changed("locale", None)), Reason.INVALID, "locale"),
    ("a number for an optional text", encoded(changed("internal_signature", 1)), Reason.INVALID, "internal_signature"),
    ("a number for a text", encoded(changed("customer_id", 1)), Reason.INVALID, "customer_id"),
    ("a text for a number", encoded(changed("payment.amount", "1")), Reason.INVALID, "payment.amount"),
    ("true for a number", with_text("items[0].sale", b"true"), Reason.INVALID, "items[0].sale"),
    ("a fraction", encoded(changed("payment.amount", 0.5)), Reason.INVALID, "payment.amount"),
    ("a fraction of zero", with_text("payment.amount", b"1.0"), Reason.INVALID, "payment.amount"),
    ("an exponent", with_text("sm_id", b"1e2"), Reason.INVALID, "sm_id"),
    ("2^64", encoded(changed("sm_id", 2**64)), Reason.INVALID, "sm_id"),
    ("a list for an object", encoded(changed("delivery", [1])), Reason.INVALID, "delivery"),
    ("a text for an object", encoded(changed("payment", "paid")), Reason.INVALID, "payment"),
    ("an object for a list", encoded(changed("items", {"0": {}})), Reason.INVALID, "items"),
    ("a number for an item", encoded(changed("items[0]", 7)), Reason.INVALID, "items[0]"),
    ("lists in a list of items", encoded(changed("items[0]", [[]])), Reason.INVALID, "items[0]"),
    ("an empty zip", encoded(changed("delivery.zip", "")), Reason.INVALID, "delivery.zip"),
    ("an amount below zero", encoded(changed("payment.custom_fee", -1)), Reason.INVALID, "payment.custom_fee"),
    ("a uid with a line break", encoded(changed("order_uid", "a\n")), Reason.INVALID, "order_uid"),
    ("a uid with a dot", encoded(changed("order_uid", "a.b")), Reason.INVALID, "order_uid"),
    ("a phone in other digits", encoded(changed("delivery.phone", "+٩٧٢٠٠٠٠٠٠٠")), Reason.INVALID, "delivery.phone"),
    ("a phone and a line break", encoded(changed("delivery.phone", "+9720000000\n")), Reason.INVALID, "delivery.phone"),
    ("an email without a dot", encoded(changed("delivery.email", "a@b")), Reason.INVALID, "delivery.email"),
    ("an email with an empty label", encoded(changed("delivery.email", "a@b..c")), Reason.INVALID, "delivery.email"),
    ("an email with two at", encoded(changed("delivery.email", "a@b@c.d")), Reason.INVALID, "delivery.email"),
    ("a currency in lower case", encoded(changed("payment.currency", "usd")), Reason.INVALID, "payment.currency"),
    ("a currency beyond ASCII", encoded(changed("payment.currency", "ÄÖÜ")), Reason.INVALID, "payment.currency"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason", "path"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_document_that_is_not_an_order_is_rejected_with_reason_and_field(
    decoder: CountingDecoder, value: bytes, reason: Reason, path: str
) -> None:
    rejection = decoder.rejection(value)
    assert rejection.reason == reason
    assert path in {violation.path for violation in rejection.violations}


@pytest.mark.parametrize("path", sorted({*LEAVES, "delivery", "payment", "items"} - {*OPTIONAL}))
def test_each_required_field_is_named_when_it_is_missing(decoder: CountingDecoder, path: str) -> None:
    document = order_document()
    container, key = located(document, path)
    del container[key]
    assert [str(violation) for violation in decoder.rejection(encoded(document)).violations] == [f"{path}: is missing"]


def test_all_broken_fields_are_named(decoder: CountingDecoder) -> None:
    document = order_document(sm_id=-1, payment={"currency": "usd"}, delivery={"phone": ""})
    document["items"].append(document["items"][0] | {"sale": 101})
    paths = {violation.path for violation in decoder.rejection(encoded(document)).violations}
    assert paths == {"sm_id", "payment.currency", "delivery.phone", "items[1].sale"}


def test_a_rejection_names_at_most_twenty_fields(decoder: CountingDecoder) -> None:
    items = [SAMPLE["items"][0] | {"sale": 101}] * MAX_ITEMS
    assert len(decoder.rejection(encoded(order_document(items=items))).violations) == 20


# Limits, on both sides


def text(length: int) -> str:
    """`length` characters, most of which take several bytes and two UTF-16 units."""
    return "🧘" * length


LIMITS: list[tuple[str, Callable[[int], Any], int, int]] = [
    ("order_uid", "a".__mul__, 1, 64),
    ("track_number", text, 1, 255),
    ("entry", text, 1, 255),
    ("locale", text, 1, 255),
    ("internal_signature", text, 0, 1024),
    ("customer_id", text, 1, 255),
    ("delivery_service", text, 1, 255),
    ("shardkey", text, 1, 255),
    ("oof_shard", text, 1, 255),
    ("sm_id", int, 0, MAX_BIGINT),
    ("delivery.name", text, 1, 1024),
    ("delivery.phone", lambda digits: "+" + "1" * digits, 7, 15),
    ("delivery.zip", text, 1, 255),
    ("delivery.city", text, 1, 255),
    ("delivery.address", text, 1, 1024),
    ("delivery.region", text, 1, 255),
    ("delivery.email", lambda length: "ö" * (length - 6) + "@b.org", 7, 254),
    ("payment.transaction", text, 1, 255),
    ("payment.request_id", text, 0, 1024),
    ("payment.currency", "A".__mul__, 3, 3),
    ("payment.provider", text, 1, 255),
    ("payment.amount", int, 0, MAX_BIGINT),
    ("payment.payment_dt", int, 0, MAX_BIGINT),
    ("payment.bank", text, 1, 255),
    ("payment.delivery_cost", int, 0, MAX_BIGINT),
    ("payment.goods_total", int, 0, MAX_BIGINT),
    ("payment.custom_fee", int, 0, MAX_BIGINT),
    ("items[0].chrt_id", int, 0, MAX_BIGINT),
    ("items[0].track_number", text, 1, 255),
    ("items[0].price", int, 0, MAX_BIGINT),
    ("items[0].rid", text, 1, 255),
    ("items[0].name", text, 1, 1024),
    ("items[0].sale", int, 0, 100),
    ("items[0].size", text, 1, 255),
    ("items[0].total_price", int, 0, MAX_BIGINT),
    ("items[0].nm_id", int, 0, MAX_BIGINT),
    ("items[0].brand", text, 1, 255),
    ("items[0].status", int, 0, 999),
]  # fmt: skip


def test_every_field_has_its_limits_in_the_table() -> None:
    assert {path for path, *_ in LIMITS} == set(LEAVES) - {"date_created"}


@pytest.mark.parametrize(("path", "make", "least", "most"), LIMITS, ids=[path for path, *_ in LIMITS])
def test_a_field_is_accepted_at_its_limits_and_rejected_beyond(
    decoder: CountingDecoder, path: str, make: Callable[[int], Any], least: int, most: int
) -> None:
    for inside in (least, most):
        decoder.decode(encoded(changed(path, make(inside))))
    for beyond in (least - 1, most + 1) if least or make is int else (most + 1,):
        rejection = decoder.rejection(encoded(changed(path, make(beyond))))
        assert [violation.path for violation in rejection.violations] == [path]


@pytest.mark.parametrize(("count", "accepted"), [(0, False), (1, True), (MAX_ITEMS, True), (MAX_ITEMS + 1, False)])
def test_an_order_has_1_to_1000_items(decoder: CountingDecoder, count: int, accepted: bool) -> None:  # noqa: FBT001
    value = encoded(order_document(items=SAMPLE["items"] * count))
    if accepted:
        assert len(decoder.decode(value).items) == count
    else:
        assert [violation.path for violation in decoder.rejection(value).violations] == ["items"]


def test_a_value_is_accepted_up_to_the_limit_of_bytes() -> None:
    value = encoded(SAMPLE)
    CountingDecoder(decoding_rules(max_bytes=len(value))).decode(value)
    rejection = CountingDecoder(decoding_rules(max_bytes=len(value) - 1)).rejection(value)
    assert (rejection.reason, str(rejection)) == (
        Reason.TOO_LARGE,
        f"too-large: larger than {len(value) - 1} bytes",
    )


@pytest.mark.parametrize("bracket", [b"[]", b"{}"])
def test_a_document_is_nested_32_levels_at_most(decoder: CountingDecoder, bracket: bytes) -> None:
    opening, closing = (b'{"a":', b"}") if bracket == b"{}" else (b"[", b"]")
    innermost = bracket
    decoder.decode(with_text("extra", opening * 30 + innermost + closing * 30))
    assert decoder.rejection(with_text("extra", opening * 31 + innermost + closing * 31)).reason == Reason.UNDECODABLE


def test_many_brackets_side_by_side_are_no_nesting(decoder: CountingDecoder) -> None:
    decoder.decode(encoded(order_document(items=SAMPLE["items"] * 100, extra=[[]] * 100)))
    decoder.decode(encoded(order_document(delivery={"name": "[[{" * 100}, extra=1)))


# Dates


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-11-26T06:22:19Z", datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC)),
        ("2021-11-26t06:22:19z", datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC)),
        ("2021-11-26T06:22:19-00:00", datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC)),
        ("2021-11-26T06:22:19.5+01:30", datetime(2021, 11, 26, 4, 52, 19, 500_000, tzinfo=UTC)),
        ("2021-11-26T06:22:19+23:59", datetime(2021, 11, 25, 6, 23, 19, tzinfo=UTC)),
        ("2021-11-26T06:22:19-23:59", datetime(2021, 11, 27, 6, 21, 19, tzinfo=UTC)),
        ("2021-11-26T06:22:19.1234567Z", datetime(2021, 11, 26, 6, 22, 19, 123_457, tzinfo=UTC)),
        ("2020-02-29T23:59:59Z", datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00-23:59", datetime(1, 1, 1, 23, 59, tzinfo=UTC)),
        ("0001-01-02T00:00:00+23:59", datetime(1, 1, 1, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_date_of_any_zone_is_that_moment_in_utc(decoder: CountingDecoder, text: str, moment: datetime) -> None:
    created = decoder.decode(encoded(order_document(date_created=text))).date_created
    assert (created, created.utcoffset()) == (moment, timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "2021-11-26T06:22:19", "2021-11-26", "2021-02-29T00:00:00Z", "2021-11-26T24:00:00Z", "2016-12-31T23:59:60Z",
        "2021-11-26T06:22:19+24:00", "2021-11-26T06:22Z", "0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00+23:59",
        "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1637907739", "", "now",
    ],
)  # fmt: skip
def test_a_date_without_a_zone_or_beyond_the_calendar_is_rejected(decoder: CountingDecoder, text: str) -> None:
    rejection = decoder.rejection(encoded(order_document(date_created=text)))
    assert [violation.path for violation in rejection.violations] == ["date_created"]


def test_a_date_beyond_max_future_is_rejected() -> None:
    decoder = CountingDecoder(decoding_rules(max_future=timedelta(hours=1)))
    decoder.decode(encoded(order_document(date_created="2026-01-01T01:00:00Z")))
    decoder.decode(encoded(order_document(date_created="2026-01-01T03:00:00+02:00")))
    rejection = decoder.rejection(encoded(order_document(date_created="2026-01-01T01:00:00.000001Z")))
    assert str(rejection) == "invalid: date_created: is in the future"


# What is let through and counted


def test_unknown_fields_are_ignored_and_each_is_counted_once(decoder: CountingDecoder) -> None:
    document = order_document(a=1, b={"not": {"looked": "into"}}, delivery={"c": None}, payment={"d": []})
    document["items"] = [SAMPLE["items"][0] | {"e": 1, "f": 2}, SAMPLE["items"][0], SAMPLE["items"][0] | {"g": 3}]
    order = decoder.decode(encoded(document))
    assert decoder.unknown == 7
    assert order == decoder.decode(msgspec.json.encode(order))
    assert decoder.unknown == 7


def test_unknown_fields_of_a_rejected_document_are_not_counted(decoder: CountingDecoder) -> None:
    decoder.rejection(encoded(order_document(a=1, sm_id=-1)))
    assert decoder.unknown == 0


@pytest.mark.parametrize("earlier", [b'"x"', b"7", b"-1", b"null", b"{}"])
def test_of_a_repeated_key_the_last_one_wins(decoder: CountingDecoder, earlier: bytes) -> None:
    value = b'{"sm_id":%b,%b' % (earlier, encoded(SAMPLE)[1:])
    assert decoder.decode(value).sm_id == SAMPLE["sm_id"]


def test_of_a_repeated_section_the_last_one_wins_whole(decoder: CountingDecoder) -> None:
    payment = encoded(SAMPLE["payment"] | {"amount": 5})
    assert decoder.decode(b'%b,"payment":%b}' % (encoded(SAMPLE)[:-1], payment)).payment.amount == 5
    rejection = decoder.rejection(b'%b,"payment":{"amount":5}}' % encoded(SAMPLE)[:-1])
    assert "payment.currency" in {violation.path for violation in rejection.violations}


def test_an_escaped_backslash_before_u0000_is_no_nul(decoder: CountingDecoder) -> None:
    assert decoder.decode(with_text(CITY, rb'"\\u0000"')).delivery.city == r"\u0000"


def test_amounts_that_do_not_add_up_are_counted_by_field(decoder: CountingDecoder) -> None:
    decoder.decode(encoded(order_document(payment={"amount": 1})))
    decoder.decode(encoded(order_document(payment={"goods_total": 318, "amount": 1818})))
    assert decoder.mismatches == {"payment.amount": 1, "payment.goods_total": 1}


def test_amounts_that_do_not_add_up_are_rejected_where_that_is_set() -> None:
    decoder = CountingDecoder(decoding_rules(amount_mismatch="reject"))
    rejection = decoder.rejection(encoded(order_document(payment={"amount": 1, "goods_total": 5})))
    assert [str(violation) for violation in rejection.violations] == [
        "payment.amount: does not add up",
        "payment.goods_total: does not add up",
    ]
    decoder.decode(encoded(SAMPLE))


def test_amounts_that_do_not_add_up_are_ignored_where_that_is_set() -> None:
    decoder = CountingDecoder(decoding_rules(amount_mismatch="ignore"))
    decoder.decode(encoded(order_document(payment={"amount": 1})))
    assert not decoder.mismatches


def test_a_sum_beyond_a_bigint_is_no_crash(decoder: CountingDecoder) -> None:
    totals = dict.fromkeys(["goods_total", "delivery_cost", "custom_fee"], MAX_BIGINT)
    decoder.decode(encoded(order_document(payment=totals)))
    assert decoder.mismatches == {"payment.amount": 1, "payment.goods_total": 1}
