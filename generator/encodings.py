"""Encodes generated orders as Confluent's serializers do, with schemas of the document's types."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, Final, Literal

from fastavro import parse_schema, schemaless_writer
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from generator.orders import Document
from generator.stream import TOMBSTONE, Message
from service.entities.order import Order, json_schema
from service.entities.order_schemas import (
    NAMESPACE,
    TIMESTAMP_FILE,
    SchemaField,
    avro_schema,
    object_types,
    schema_fields,
)

Encoding = Literal["confluent-json", "avro", "protobuf"]
"""JSON Schema, Avro or Protobuf, each in Confluent's wire format."""
Encode = Callable[[Document], bytes]
"""Encodes an order, without the id of its schema."""

KINDS: Final[Mapping[Encoding, str]] = {"confluent-json": "JSON", "avro": "AVRO", "protobuf": "PROTOBUF"}
"""The registry's names of the schemas' kinds."""
_FIRST_MESSAGE: Final = b"\0"
"""The indexes of the first message in a file, in front of a Protobuf message."""
_PROTOBUF_TYPES: Final = {str: FieldDescriptorProto.TYPE_STRING, int: FieldDescriptorProto.TYPE_INT64}


def schema_text(encoding: Encoding) -> str:
    """Return the schema of the order, as it is registered."""
    match encoding:
        case "confluent-json":
            return json.dumps(json_schema())
        case "avro":
            return json.dumps(avro_schema())
        case "protobuf":
            return base64.b64encode(order_descriptor().SerializeToString()).decode()


def encoder(encoding: Encoding) -> Encode:
    match encoding:
        case "confluent-json":
            return lambda order: json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode()
        case "avro":
            return _avro_encoder()
        case "protobuf":
            return _protobuf_encoder()


def framed(schema_id: int, content: bytes) -> bytes:
    """Return a value in Confluent's wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + content


def encoded(messages: Iterable[Message], encoding: Encoding, schema_id: int) -> Iterator[Message]:
    """Yield the messages, with orders in this encoding. Faulty ones stay JSON, because schemas prevent most faults."""
    encode = encoder(encoding)
    for message in messages:
        if message.reason or message.kind == TOMBSTONE or not message.value:
            yield message
        else:
            yield message._replace(value=framed(schema_id, encode(json.loads(message.value))))


def order_descriptor() -> FileDescriptorProto:
    """Return the descriptor of the file that `service.entities.order_schemas.protobuf_schema` returns."""
    file = FileDescriptorProto(name="order.proto", package=NAMESPACE, syntax="proto3", dependency=[TIMESTAMP_FILE])
    file.message_type.extend(map(_message_type, object_types()))
    return file


def _avro_encoder() -> Encode:
    schema = parse_schema(avro_schema())

    def encode(order: Document) -> bytes:
        stream = BytesIO()
        created = datetime.fromisoformat(order["date_created"])
        schemaless_writer(stream, schema, order | {"date_created": created})
        return stream.getvalue()

    return encode


def _protobuf_encoder() -> Encode:
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(order_descriptor().SerializeToString())
    message = GetMessageClass(pool.FindMessageTypeByName(f"{NAMESPACE}.{Order.__name__}"))

    def encode(order: Document) -> bytes:
        content: bytes = ParseDict(order, message()).SerializeToString()
        return _FIRST_MESSAGE + content

    return encode


def _message_type(shape: type[Struct]) -> DescriptorProto:
    message = DescriptorProto(name=shape.__name__)
    for number, field in enumerate(schema_fields(shape), 1):
        message.field.append(FieldDescriptorProto(name=field.name, number=number, **_type(field)))
        if field.is_optional:  # proto3 declares the presence of a field with a oneof of its own
            message.field[-1].oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")
    return message


def _type(field: SchemaField) -> dict[str, Any]:
    label = FieldDescriptorProto.LABEL_REPEATED if field.is_list else FieldDescriptorProto.LABEL_OPTIONAL
    kind: dict[str, Any] = {"label": label}
    if field.type in _PROTOBUF_TYPES:
        kind |= {"type": _PROTOBUF_TYPES[field.type]}
    else:
        name = f".{NAMESPACE}.{field.type.__name__}" if field.is_object else ".google.protobuf.Timestamp"
        kind |= {"type": FieldDescriptorProto.TYPE_MESSAGE, "type_name": name}
    return kind | ({"proto3_optional": True} if field.is_optional else {})
