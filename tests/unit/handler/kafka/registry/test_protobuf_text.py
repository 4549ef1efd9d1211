"""Reading Protobuf with the source of its schema."""

from pathlib import Path

import pytest

from generator.encodings import encoder, schema_text
from service.errors import UnusableSchema
from service.handler.kafka.registry.protobuf import protobuf_reader
from service.handler.kafka.registry.reader import SchemaFile
from tests.kit.factories import order_document

PUBLISHED = Path(__file__).parents[5] / "docs/order.proto"
PROTO3 = 'syntax = "proto3"; package shop;'


def test_orders_are_read_with_the_published_source_as_with_its_descriptor() -> None:
    content = encoder("protobuf")(order_document(internal_signature="a"))
    assert protobuf_reader(PUBLISHED.read_text())(content) == protobuf_reader(schema_text("protobuf"))(content)


@pytest.mark.parametrize(
    ("source", "content", "expected"),
    [
        ("message Order { /* id */ string uid = 1; // c\n }", b"\x0a\x01a", {"uid": "a"}),
        ('message Order { string uid = 1 [deprecated = true, json_name = "UID"]; }', b"", {"UID": ""}),
        ("message Order { optional string uid = 1; }", b"", {}),
        ("message Order { optional string a = 1; oneof o { string b = 2; } }", b"\x12\x01b", {"b": "b"}),
        ("message Order { map<string, int32> my_map = 1; }", b"\x0a\x05\x0a\x01a\x10\x02", {"my_map": {"a": 2}}),
        ("message Order { repeated sint64 ids = 1; }", b"\x0a\x02\x01\x04", {"ids": [-1, 2]}),
        ("message Order { Kind kind = 1; enum Kind { A = 0; B = 1; } }", b"\x08\x01", {"kind": "B"}),
        ("message Order { E e = 1; } enum E { option allow_alias = true; A = 0; B = 1; C = 1; }", b"", {"e": "A"}),
        ("message Order { Part.Inner i = 1; message Part { message Inner {} } }", b"\x0a\x00", {"i": {}}),
        ("message Order { shop.Part part = 1; } message Part {}", b"\x0a\x00", {"part": {}}),
        ("message Order { .shop.Part part = 1; } message Part {}", b"\x0a\x00", {"part": {}}),
        ("option go_package = 'x'; service S { rpc A(Order) returns (Order); } message Order { reserved 2; }", b"", {}),
    ],
)  # fmt: skip
def test_the_language_is_read(source: str, content: bytes, expected: object) -> None:
    assert protobuf_reader(PROTO3 + source)(b"\0" + content) == expected


def test_without_a_syntax_it_is_proto2() -> None:
    text = "message Order { required string uid = 1; optional int32 n = 2; extensions 100 to 200; }"
    assert protobuf_reader(text)(b"\0\x0a\x01a") == {"uid": "a"}


def test_a_source_may_import_another_one() -> None:
    text = f'{PROTO3} import "city.proto"; message Order {{ places.City city = 1; }}'
    city = SchemaFile("city.proto", 'syntax = "proto3"; package places; message City { string name = 1; }')
    assert protobuf_reader(text, [city])(b"\0\x0a\x03\x0a\x01a") == {"city": {"name": "a"}}


def test_a_public_import_passes_on_what_it_imports() -> None:
    text = f'{PROTO3} import "all.proto"; message Order {{ places.City city = 1; }}'
    city = SchemaFile("city.proto", 'syntax = "proto3"; package places; message City { string name = 1; }')
    everything = SchemaFile("all.proto", 'syntax = "proto3"; import public "city.proto";')
    assert protobuf_reader(text, [city, everything])(b"\0\x0a\x03\x0a\x01a") == {"city": {"name": "a"}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("message Order {", "is not valid Protobuf source"),
        ("\1\2\3 {}", "is not valid Protobuf source"),
        ("message Order { string uid = 1 }", "is not valid Protobuf source"),
        ("message Order { optional group Part = 1 { } }", "has a group"),
        ("message Order { oneof o { group Part = 1 { } } }", "has a group"),
        ('edition = "2023"; message Order { string uid = 1; }', "is not valid Protobuf source"),
        ('syntax = "proto4"; message Order { string uid = 1; }', "is neither proto2 nor proto3"),
        (f"{PROTO3} message Order {{ Unknown uid = 1; }}", "is not valid Protobuf, or imports a file that it does not"),
    ],
)
def test_a_source_that_cannot_be_read_makes_the_schema_unusable(
    text: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnusableSchema, match=problem):
        protobuf_reader(text)
    assert capfd.readouterr() == ("", "")
