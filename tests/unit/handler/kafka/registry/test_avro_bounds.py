"""No message takes more memory than the bounds of its Avro schema say."""

import json
import tracemalloc
from typing import Any, Final

import pytest
from fastavro import parse_schema

from generator.encodings import schema_text
from service.errors import DocumentRejected
from service.handler.kafka.registry.avro import avro_reader
from service.handler.kafka.registry.avro_bounds import bounds_of
from service.handler.kafka.registry.reader import MAX_MEMORY_BYTES

ITEMS: Final = 2_000
ORDER_BYTES: Final = 1_000
"""More than the record around the array takes, once."""
MEBIBYTE: Final = 2**20


def record(name: str, *types: Any) -> dict[str, Any]:
    fields = [{"name": f"field{number}", "type": kind} for number, kind in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields}


def nested(depth: int) -> Any:
    kind: Any = "boolean"
    for level in range(depth):
        kind = record(f"Level{level}", kind)
    return kind


def array(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item}


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


def expansion(schema: dict[str, Any]) -> int:
    named: dict[str, Any] = {}
    return bounds_of(parse_schema(schema, named_schemas=named), named).expansion


def content_of(item: bytes, items: int) -> bytes:
    """Return an array in one block, whose number takes two bytes."""
    return bytes([2 * items & 0x7F | 0x80, 2 * items >> 7]) + item * items + b"\0"


MAP: Final = {"type": "map", "values": "long"}
TINY: Final = logical("fixed", "decimal", name="Tiny", size=1, precision=2, scale=1)


@pytest.mark.parametrize(
    ("item", "content"),
    [
        *((nested(depth), b"\1") for depth in (1, 2, 10, 60)),
        (record("Wide", *["boolean"] * 11), b"\1" * 11),
        (record("Nothing", ["null", "long"]), b"\0"),
        (["null", record("Inner", "long")], b"\2\0"),
        (array("long"), b"\0"),
        (array(array("long")), b"\2\0\0"),
        (MAP, b"\0"),
        (MAP, b"\2\0\0\0"),
        (TINY, b"\1"),
        (logical("bytes", "decimal", precision=2, scale=1), b"\2\1"),
        (logical("long", "timestamp-millis"), b"\0"),
        (logical("int", "date"), b"\0"),
        (logical("int", "time-millis"), b"\2"),
        ("string", b"\0"),
        ("string", "\6\u20ac".encode()),
        ("bytes", b"\4ab"),
        ("long", b"\x80\x08"),
        ("double", b"12345678"),
    ],
)
def test_a_message_takes_no_more_memory_than_its_bytes_allow(item: Any, content: bytes) -> None:
    read, message = avro_reader(json.dumps(record("Order", array(item)))), content_of(content, ITEMS)
    tracemalloc.start()
    try:
        document = read(message)
        memory, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not isinstance(document, bytes)
    assert len(document["field0"]) == ITEMS
    assert memory <= expansion(array(item)) * len(message) + ORDER_BYTES


def test_a_message_that_could_take_too_much_memory_is_rejected_unread() -> None:
    schema = record("Order", array(nested(60)))
    read, limit = avro_reader(json.dumps(schema)), MAX_MEMORY_BYTES // expansion(schema)
    assert read(content_of(b"\1", 100))
    with pytest.raises(DocumentRejected, match=f"Avro message of more than {limit} bytes"):
        read(content_of(b"\1", 100) + bytes(limit))


def test_orders_may_be_as_large_as_any_message() -> None:
    assert MAX_MEMORY_BYTES // expansion(json.loads(schema_text("avro"))) > MEBIBYTE
