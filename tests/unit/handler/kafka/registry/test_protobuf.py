"""Reading Protobuf with descriptors of the registry."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka.schema_registry.confluent.type import decimal_pb2
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from generator.encodings import schema_text
from service.errors import DocumentRejected, UnusableSchema
from service.handler.kafka.registry import protobuf
from service.handler.kafka.registry.protobuf import protobuf_reader
from service.handler.kafka.registry.reader import SchemaFile

STRING, INT64, ENUM, MESSAGE = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_ENUM,
    FieldDescriptorProto.TYPE_MESSAGE,
)
REPEATED = FieldDescriptorProto.LABEL_REPEATED


def field(name: str, number: int = 1, kind: Any = STRING, **more: Any) -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=kind, label=more.pop("label", 1), **more)


def text_of(*messages: DescriptorProto, **more: Any) -> str:
    file = FileDescriptorProto(name="order.proto", package="shop", syntax="proto3", message_type=messages, **more)
    return base64.b64encode(file.SerializeToString()).decode()


def message(name: str, *fields: FieldDescriptorProto, **more: Any) -> DescriptorProto:
    return DescriptorProto(name=name, field=fields, **more)


UID = message("Order", field("order_uid"))


def test_a_message_becomes_an_object() -> None:
    assert protobuf_reader(text_of(UID))(b"\0\x0a\x03abc") == {"order_uid": "abc"}


def test_a_field_with_its_default_value_is_in_the_object() -> None:
    text = text_of(message("Order", field("sale", kind=INT64), field("name", 2)))
    assert protobuf_reader(text)(b"\0") == {"sale": 0, "name": ""}


def test_an_absent_message_is_not_in_the_object() -> None:
    delivery = field("delivery", kind=MESSAGE, type_name=".shop.Delivery")
    text = text_of(message("Order", delivery), message("Delivery", field("city")))
    assert protobuf_reader(text)(b"\0") == {}
    assert protobuf_reader(text)(b"\0\x0a\x00") == {"delivery": {"city": ""}}


def test_a_large_integer_stays_exact() -> None:
    text = text_of(message("Order", field("amount", kind=INT64)))
    assert protobuf_reader(text)(b"\0\x08" + b"\xff" * 8 + b"\x7f") == {"amount": 2**63 - 1}


def test_a_timestamp_becomes_a_time() -> None:
    created = field("date_created", kind=MESSAGE, type_name=".google.protobuf.Timestamp")
    text = text_of(message("Order", created), dependency=["google/protobuf/timestamp.proto"])
    content = timestamp_pb2.Timestamp(seconds=1_637_907_739, nanos=500_000_000).SerializeToString()
    expected = datetime(2021, 11, 26, 6, 22, 19, 500_000, tzinfo=UTC)
    assert protobuf_reader(text)(b"\0\x0a" + bytes([len(content)]) + content) == {"date_created": expected}


def test_a_time_outside_of_the_calendar_is_rejected() -> None:
    created = field("date_created", kind=MESSAGE, type_name=".google.protobuf.Timestamp")
    text = text_of(message("Order", created), dependency=["google/protobuf/timestamp.proto"])
    content = timestamp_pb2.Timestamp(seconds=2**60).SerializeToString()
    with pytest.raises(DocumentRejected):
        protobuf_reader(text)(b"\0\x0a" + bytes([len(content)]) + content)


def test_an_enum_becomes_its_name() -> None:
    currency = {"name": "Currency", "value": [{"name": "USD", "number": 0}, {"name": "EUR", "number": 1}]}
    text = text_of(message("Order", field("currency", kind=ENUM, type_name=".shop.Currency")), enum_type=[currency])
    assert protobuf_reader(text)(b"\0\x08\x01") == {"currency": "EUR"}


@pytest.mark.parametrize(
    ("name", "json_name", "expected"),
    [("order_uid", None, "order_uid"), ("order_uid", "orderUid", "order_uid"), ("uid", "order_uid", "order_uid")],
)
def test_a_json_name_counts_if_the_schema_sets_one(name: str, json_name: str | None, expected: str) -> None:
    text = text_of(message("Order", field(name, json_name=json_name)))
    assert protobuf_reader(text)(b"\0\x0a\x01a") == {expected: "a"}


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [
        (b"\0", {"first": "a"}),
        (b"\x02\0", {"first": "a"}),
        (b"\x02\x02", {"second": "a"}),
        (b"\x04\x02\x02", {"inner": "a"}),
    ],
)
def test_the_indexes_name_the_type_of_the_message(indexes: bytes, expected: dict[str, str]) -> None:
    nested = [message("Other", field("other")), message("Inner", field("inner"))]
    text = text_of(message("First", field("first")), message("Second", field("second"), nested_type=nested))
    assert protobuf_reader(text)(indexes + b"\x0a\x01a") == expected


@pytest.mark.parametrize("indexes", [b"", b"\x80", b"\x02\x04", b"\x02\x01", b"\x7e\x01", b"\x04\0\0", b"\xff" * 6])
def test_wrong_indexes_are_rejected(indexes: bytes) -> None:
    with pytest.raises(DocumentRejected):
        protobuf_reader(text_of(UID))(indexes)


@pytest.mark.parametrize("content", [b"\0\x0a\x05a", b"\0\x0a\x01\xff", b"\0\xff"])
def test_bytes_that_do_not_match_are_rejected(content: bytes) -> None:
    with pytest.raises(DocumentRejected, match="Protobuf bytes do not match the schema"):
        protobuf_reader(text_of(UID))(content)


def test_a_schema_may_import_another_one() -> None:
    inner = FileDescriptorProto(
        name="x", package="shop", syntax="proto3", message_type=[message("City", field("name"))]
    )
    imported = SchemaFile("city.proto", base64.b64encode(inner.SerializeToString()).decode())
    city = field("city", kind=MESSAGE, type_name=".shop.City")
    text = text_of(message("Order", city), dependency=["city.proto"])
    assert protobuf_reader(text, [imported])(b"\0\x0a\x03\x0a\x01a") == {"city": {"name": "a"}}


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"\xff\xff").decode()])
def test_a_schema_that_is_no_descriptor_is_not_used(text: str) -> None:
    with pytest.raises(UnusableSchema):
        protobuf_reader(text)(b"\0")


def test_a_schema_with_a_missing_import_is_not_used() -> None:
    with pytest.raises(UnusableSchema, match="imports a file"):
        protobuf_reader(text_of(UID, dependency=["missing.proto"]))


def recursive() -> Callable[[bytes], Any]:
    return protobuf_reader(text_of(message("Order", field("inner", kind=MESSAGE, type_name=".shop.Order"))))


def test_a_message_may_contain_itself() -> None:
    assert recursive()(b"\0\x0a\x02\x0a\x00") == {"inner": {"inner": {}}}


def test_deep_nesting_is_rejected() -> None:
    content = b""
    for _ in range(1_000):
        size, varint = len(content), b""
        while size >= 0x80:
            size, varint = size >> 7, varint + bytes([size & 0x7F | 0x80])
        content = b"\x0a" + varint + bytes([size]) + content
    with pytest.raises(DocumentRejected):
        recursive()(b"\0" + content)


def test_many_empty_messages_are_rejected_before_they_take_memory() -> None:
    items = field("items", kind=MESSAGE, type_name=".shop.Item", label=REPEATED)
    text = text_of(message("Order", items), message("Item", field("name")))
    assert protobuf_reader(text)(b"\0" + b"\x0a\x00" * 1_000) == {"items": [{"name": ""}] * 1_000}
    with pytest.raises(DocumentRejected, match=f"more than {protobuf._MAX_MESSAGES} nested messages"):
        protobuf_reader(text)(b"\0" + b"\x0a\x00" * 500_000)


def reader_of_items(fields: int) -> Callable[[bytes], Any]:
    items = field("items", kind=MESSAGE, type_name=".shop.Item", label=REPEATED)
    item = message("Item", *(field(f"field{number}", number) for number in range(1, fields + 1)))
    return protobuf_reader(text_of(message("Order", items), item))


@pytest.mark.parametrize(("fields", "allowed", "too_many"), [(15, 19_000, 600_000), (1_000, 1_000, 10_000)])
def test_nested_messages_with_many_fields_are_rejected_before_they_are_parsed(
    fields: int, allowed: int, too_many: int
) -> None:
    read = reader_of_items(fields)
    assert len(read(b"\0" + b"\x0a\x00" * allowed)["items"]) == allowed
    with pytest.raises(DocumentRejected, match="which could take too much memory"):
        read(b"\0" + b"\x0a\x00" * too_many)


def test_orders_may_be_as_large_as_any_message() -> None:
    read = protobuf_reader(schema_text("protobuf"))
    with pytest.raises(DocumentRejected, match=f"more than {protobuf._MAX_MESSAGES} nested messages"):
        read(b"\0" + b"\x32\x00" * 2**19)


def decimal_reader() -> Callable[[bytes], Any]:
    amount = field("amount", kind=MESSAGE, type_name=".confluent.type.Decimal")
    return protobuf_reader(text_of(message("Order", amount), dependency=["confluent/type/decimal.proto"]))


def amount(scale: int, value: bytes = b"\1") -> bytes:
    message_class = GetMessageClass(decimal_pb2.DESCRIPTOR.message_types_by_name["Decimal"])
    content: bytes = message_class(value=value, scale=scale).SerializeToString()
    return b"\0\x0a" + bytes([len(content)]) + content


@pytest.mark.parametrize(("scale", "expected"), [(0, 1), (2, Decimal("0.01")), (-2, 100), (-38, 10**38)])
def test_a_decimal_becomes_a_number(scale: int, expected: object) -> None:
    assert decimal_reader()(amount(scale)) == {"amount": expected}


@pytest.mark.parametrize("scale", [2**31 - 1, -(2**31), -1_000_000, -100_000, 39])
def test_a_decimal_with_a_huge_scale_is_rejected(scale: int) -> None:
    with pytest.raises(DocumentRejected, match="decimal with more than 16 bytes, or a scale beyond 38"):
        decimal_reader()(amount(scale))


def test_an_unforeseen_exception_rejects_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = decimal_reader()
    monkeypatch.setattr(protobuf, "to_number", lambda *_: 1 // 0)
    with pytest.raises(DocumentRejected, match="Protobuf bytes do not match the schema"):
        reader(amount(0))
