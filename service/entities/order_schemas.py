"""Avro and Protobuf schemas of the order document, for producers that use a schema registry.

Both have the document's names. They state only types: the consumer checks lengths and patterns.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from service.entities.order import Order

NAMESPACE: Final = "orders.v1"
TIMESTAMP_FILE: Final = "google/protobuf/timestamp.proto"

_AVRO: Final[dict[type, Any]] = {
    str: "string",
    int: "long",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}
_PROTOBUF: Final[dict[type, str]] = {str: "string", int: "int64", datetime: "google.protobuf.Timestamp"}


class SchemaField(NamedTuple):
    name: str
    type: type
    """A scalar, or the type of a nested object."""
    is_list: bool
    is_optional: bool

    @property
    def is_object(self) -> bool:
        return issubclass(self.type, Struct)


def schema_fields(shape: type[Struct]) -> list[SchemaField]:
    """Return the fields of an object, in the order of the document. Protobuf numbers them from 1."""
    return [_field(each.name, each.type) for each in fields(shape)]


def object_types(shape: type[Struct] = Order) -> Iterator[type[Struct]]:
    """Yield a type, then those of its nested objects."""
    yield shape
    for field in schema_fields(shape):
        if field.is_object:
            yield from object_types(field.type)


def avro_schema() -> dict[str, Any]:
    return _record(Order)


def protobuf_schema() -> str:
    """Return the source of a file whose first message is the order."""
    messages = "".join(f"\nmessage {shape.__name__} {{\n{_message_body(shape)}}}\n" for shape in object_types())
    return f'syntax = "proto3";\n\npackage {NAMESPACE};\n\nimport "{TIMESTAMP_FILE}";\n{messages}'


def as_json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def _field(name: str, annotation: Any, *, is_list: bool = False, is_optional: bool = False) -> SchemaField:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _field(name, arguments[0], is_list=is_list, is_optional=is_optional)
    if origin is list:
        return _field(name, arguments[0], is_list=True)
    if origin in {Union, UnionType}:
        (inner,) = (each for each in arguments if each is not type(None))
        return _field(name, inner, is_list=is_list, is_optional=True)
    return SchemaField(name, annotation, is_list, is_optional)


def _record(shape: type[Struct]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": shape.__name__,
        "namespace": NAMESPACE,
        "fields": [_record_field(each) for each in schema_fields(shape)],
    }


def _record_field(field: SchemaField) -> dict[str, Any]:
    kind = _record(field.type) if field.is_object else _AVRO[field.type]
    if field.is_list:
        kind = {"type": "array", "items": kind}
    if field.is_optional:
        return {"name": field.name, "type": ["null", kind], "default": None}
    return {"name": field.name, "type": kind}


def _message_body(shape: type[Struct]) -> str:
    return "".join(f"  {_declaration(each)} = {number};\n" for number, each in enumerate(schema_fields(shape), 1))


def _declaration(field: SchemaField) -> str:
    kind = field.type.__name__ if field.is_object else _PROTOBUF[field.type]
    label = "repeated " if field.is_list else "optional " if field.is_optional else ""
    return f"{label}{kind} {field.name}"
