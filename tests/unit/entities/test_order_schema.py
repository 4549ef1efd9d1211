"""The limits of `entities/order.py` are those of the published schema, of the decoder and of the columns."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator, ValidationError, validators
from sqlalchemy import BigInteger, DateTime, SmallInteger, String, UniqueConstraint

from service.decoding.decoder import Decoder
from service.entities.order import MAX_BIGINT, json_schema
from service.errors import DocumentRejected
from service.repo.schema import tables
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.policies import decoding_rules

DATE_TIME = Draft202012Validator.FORMAT_CHECKER


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(json_schema())
    validator = validators.extend(Draft202012Validator, {"pattern": ecmascript_pattern})  # type: ignore[no-untyped-call]
    return cast("Draft202012Validator", validator(json_schema(), format_checker=DATE_TIME))


def ecmascript_pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """Validate like ECMAScript, in which `$` does not match before a line break."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError("the pattern does not match")


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(
        decoding_rules(),
        on_unknown=lambda _: None,
        on_mismatch=lambda _: None,
        on_coerced=lambda _: None,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


ITEM = SAMPLE["items"][0]
RIGHT: dict[str, Document] = {
    "the sample": SAMPLE,
    "the longest uid": order_document(order_uid="a" * 64),
    "the longest text in characters": order_document(delivery={"city": "🧘" * 255}),
    "null for an optional text": order_document(internal_signature=None),
    "an empty optional text": order_document(payment={"request_id": ""}),
    "the greatest amount": order_document(payment={"amount": MAX_BIGINT}),
    "a thousand items": order_document(items=[ITEM] * 1000),
    "the greatest sale and status": order_document(items=[ITEM | {"sale": 100, "status": 999}]),
    "an unknown field": order_document(unknown=1, delivery={"unknown": None}),
    "a date with a zone": order_document(date_created="2021-11-26T06:22:19.5+01:00"),
}
WRONG: dict[str, Document] = {
    "an empty document": {},
    "a missing section": {name: value for name, value in SAMPLE.items() if name != "payment"},
    "a missing field": order_document(delivery={name: v for name, v in SAMPLE["delivery"].items() if name != "zip"})
    | {"delivery": {name: v for name, v in SAMPLE["delivery"].items() if name != "zip"}},
    "a uid too long": order_document(order_uid="a" * 65),
    "a uid with a line break": order_document(order_uid="a\n"),
    "a uid with other characters": order_document(order_uid="ü"),
    "an empty text": order_document(locale=""),
    "a text too long": order_document(delivery={"city": "🧘" * 256}),
    "an optional text too long": order_document(payment={"request_id": "a" * 1025}),
    "null for a required text": order_document(locale=None),
    "null for the items": order_document(items=None),
    "a number for an optional text": order_document(internal_signature=1),
    "a number for a text": order_document(customer_id=1),
    "a text for a number": order_document(sm_id="99"),
    "true for a number": order_document(sm_id=True),
    "a fraction": order_document(sm_id=0.5),
    "a number below zero": order_document(payment={"amount": -1}),
    "2^63": order_document(payment={"amount": MAX_BIGINT + 1}),
    "no items": order_document(items=[]),
    "1001 items": order_document(items=[ITEM] * 1001),
    "an item that is none": order_document(items=[ITEM, None]),
    "a sale over 100": order_document(items=[ITEM | {"sale": 101}]),
    "a status over 999": order_document(items=[ITEM | {"status": 1000}]),
    "a phone with spaces": order_document(delivery={"phone": "+972 000 0000"}),
    "a phone with a line break": order_document(delivery={"phone": "+9720000000\n"}),
    "an email without a dot": order_document(delivery={"email": "a@b"}),
    "a currency in lower case": order_document(payment={"currency": "usd"}),
    "a list for an object": order_document() | {"delivery": []},
    "a date as a number": order_document(date_created=1637907739),
}


@pytest.mark.parametrize("document", RIGHT.values(), ids=RIGHT)
def test_schema_and_decoder_accept_the_same(
    validator: Draft202012Validator, decoder: Decoder, document: Document
) -> None:
    validator.validate(document)
    decoder.decode(json.dumps(document).encode())


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
def test_schema_and_decoder_reject_the_same(
    validator: Draft202012Validator, decoder: Decoder, document: Document
) -> None:
    assert not validator.is_valid(document)
    with pytest.raises(DocumentRejected):
        decoder.decode(json.dumps(document).encode())


SECTIONS = {"Order": tables.orders, "Delivery": tables.deliveries, "Payment": tables.payments, "Item": tables.items}
NULL = {"type": "null"}
OF_OUR_OWN = {
    "id", "order_id", "shard", "position",
    "source_topic", "source_partition", "source_offset", "source_timestamp", "stored_at",
}  # fmt: skip


@pytest.mark.parametrize(("section", "table"), SECTIONS.items(), ids=SECTIONS)
def test_each_column_has_the_type_that_its_field_needs(section: str, table: Any) -> None:
    definition = json_schema()["$defs"][section]
    fields = {
        name: field
        for name, field in definition["properties"].items()
        if "$ref" not in field and field.get("type") != "array"
    }
    assert {column.name for column in table.columns} - OF_OUR_OWN == fields.keys()
    for name, field in fields.items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind != NULL]
        assert [column_matches(table.columns[name].type, kind) for kind in kinds] == [True], name
        assert table.columns[name].nullable == (name not in definition["required"]) == (NULL in field.get("anyOf", []))


def column_matches(kind: Any, field: dict[str, Any]) -> bool:
    match field:
        case {"format": "date-time"}:
            return isinstance(kind, DateTime) and kind.timezone
        case {"type": "string", "maxLength": length}:
            return isinstance(kind, String) and kind.length == length
        case {"type": "integer", "maximum": highest}:
            return isinstance(kind, SmallInteger if highest < 2**15 else BigInteger)
    return False


@pytest.mark.parametrize("table", SECTIONS.values(), ids=SECTIONS)
def test_every_key_begins_with_the_growing_id_and_ends_with_the_shard(table: Any) -> None:
    first, *_, last = table.primary_key.columns
    assert first.name == ("id" if table is tables.orders else "order_id")
    assert last.name == "shard"


def test_the_uid_of_an_order_is_unique_and_compared_by_bytes() -> None:
    (unique,) = (key for key in tables.orders.constraints if isinstance(key, UniqueConstraint))
    assert [column.name for column in unique.columns] == ["order_uid", "shard"]
    kind = tables.orders.c.order_uid.type
    assert isinstance(kind, String)
    assert kind.collation == "C"
