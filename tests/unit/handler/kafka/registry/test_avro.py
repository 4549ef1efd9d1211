"""Reading Avro, and schemas that could make a few bytes take much time or memory."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from fastavro import schemaless_writer

from service.errors import DocumentRejected, UnusableSchema
from service.handler.kafka.registry.avro import avro_reader
from service.handler.kafka.registry.reader import RawDocument, SchemaFile


def record(**types: Any) -> dict[str, Any]:
    fields = [{"name": name, "type": kind} for name, kind in types.items()]
    return {"type": "record", "name": "Order", "fields": fields}


def read(schema: dict[str, Any], value: dict[str, Any]) -> RawDocument:
    stream = BytesIO()
    schemaless_writer(stream, schema, value)
    return avro_reader(json.dumps(schema))(stream.getvalue())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"type": "long", "logicalType": "timestamp-millis"}, datetime(2021, 11, 26, 6, 22, 19, 500_000, tzinfo=UTC)),
        ({"type": "long", "logicalType": "timestamp-micros"}, datetime(2021, 11, 26, 6, 22, 19, 1, tzinfo=UTC)),
        ({"type": "enum", "name": "Currency", "symbols": ["USD", "EUR"]}, "EUR"),
        (["null", "string"], None),
        (["null", "string"], "text"),
        ({"type": "array", "items": "long"}, [1, 2]),
        ({"type": "map", "values": "long"}, {"a": 1}),
        (["null", {**record(a="long"), "name": "Inner"}], {"a": 1}),
    ],
)
def test_a_value_keeps_its_meaning(kind: Any, value: Any) -> None:
    assert read(record(field=kind), {"field": value}) == {"field": value}


@pytest.mark.parametrize("amount", ["1817.00", "-5.00", "18.17"])
def test_a_decimal_without_a_fraction_becomes_an_integer(amount: str) -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    document = read(record(amount=kind), {"amount": Decimal(amount)})
    assert not isinstance(document, bytes)
    assert document == {"amount": Decimal(amount)}
    assert isinstance(document["amount"], int) == amount.endswith(".00")


def test_a_uuid_stays_text() -> None:
    uid = "8a5f1cd6-5b2f-4f0c-9a53-0a4a4f5f5c11"
    kind = {"type": "string", "logicalType": "uuid"}
    assert read(record(order_uid=kind), {"order_uid": UUID(uid)}) == {"order_uid": uid}


def test_a_schema_may_refer_to_another_one() -> None:
    inner = SchemaFile("shop.Delivery", json.dumps({**record(city="string"), "name": "Delivery", "namespace": "shop"}))
    outer = json.dumps(record(delivery="shop.Delivery"))
    assert avro_reader(outer, [inner])(b"\x08Kyiv") == {"delivery": {"city": "Kyiv"}}


@pytest.mark.parametrize("content", [b"", b"\x08Kyi", b"\x08Kyiv!", b"\x07Kyiv", b"\x04\xff\xfe"])
def test_bytes_that_do_not_match_are_rejected(content: bytes) -> None:
    with pytest.raises(DocumentRejected, match="Avro bytes do not match the schema"):
        avro_reader(json.dumps(record(city="string")))(content)


def test_a_decimal_with_a_huge_scale_is_rejected() -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 2**31, "scale": 2**31}
    with pytest.raises(DocumentRejected, match="a scale beyond 38"):
        avro_reader(json.dumps(record(amount=kind)))(b"\x02\x01")


def test_a_decimal_keeps_all_its_digits() -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}
    number = 12345678901234567890123456789012345678
    content = b"\x20" + number.to_bytes(16, "big", signed=True)
    document = avro_reader(json.dumps(record(amount=kind)))(content)
    assert document == {"amount": Decimal("123456789012345678901234567890123456.78")}


def test_a_long_decimal_is_rejected_without_converting_it() -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 12}
    content = b"\x80\x80\x80\x01" + b"\x7f" * 2**20
    with pytest.raises(DocumentRejected):
        avro_reader(json.dumps(record(amount=kind)))(content)


EMPTY = {"type": "record", "name": "Empty", "fields": []}
NODE = {**record(next=["null", "Order"])}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (record(bomb={"type": "array", "items": "null"}), "has a null outside of a union"),
        (record(bomb={"type": "array", "items": EMPTY}), "has a type without content"),
        (record(bomb={"type": "fixed", "name": "Nothing", "size": 0}), "has a type without content"),
        (record(bomb={"type": "array", "items": ["null", EMPTY]}), "has a type without content"),
        (EMPTY, "has a type without content"),
        (NODE, "is recursive"),
        ("string", "is not a record"),
        ({"type": "record", "name": "A"}, "has a type without content"),
        (record(a="Unknown"), "is not valid Avro"),
    ],
)
def test_a_schema_that_is_invalid_or_unbounded_is_not_used(schema: Any, problem: str) -> None:
    with pytest.raises(UnusableSchema, match=problem):
        avro_reader(json.dumps(schema))


def test_a_schema_that_is_no_json_is_not_used() -> None:
    with pytest.raises(UnusableSchema, match="is not valid Avro"):
        avro_reader("{")


def test_a_deep_schema_is_not_used() -> None:
    kind: Any = "long"
    for _ in range(100):
        kind = {"type": "array", "items": kind}
    with pytest.raises(UnusableSchema, match="is nested too deeply"):
        avro_reader(json.dumps(record(deep=kind)))


def test_a_chain_of_named_types_is_as_deep_as_all_of_them() -> None:
    """Each type alone is not too deep, and was checked before the next one."""

    def named(number: int) -> SchemaFile:
        kind: Any = f"T{number - 1}" if number else "long"
        for _ in range(30):
            kind = {"type": "array", "items": kind}
        return SchemaFile(f"T{number}", json.dumps({**record(deep=kind), "name": f"T{number}"}))

    types = [named(number) for number in range(4)]
    fields = {f"field{number}": f"T{number}" for number in range(4)}
    avro_reader(json.dumps(record(a="T0", b="T1")), types)
    with pytest.raises(UnusableSchema, match="is nested too deeply"):
        avro_reader(json.dumps(record(**fields)), types)
    with pytest.raises(UnusableSchema, match="is nested too deeply"):
        avro_reader(json.dumps(record(last="T3")), types)


def test_types_that_are_used_many_times_are_checked_once() -> None:
    """2^40 values, if each use was checked."""
    kind: Any = "long"
    for depth in range(40):
        kind = {"type": "record", "name": f"L{depth}", "fields": [
            {"name": "a", "type": kind}, {"name": "b", "type": f"L{depth - 1}" if depth else "long"},
        ]}  # fmt: skip
    avro_reader(json.dumps(kind))
