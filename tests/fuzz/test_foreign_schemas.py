"""Any bytes with any schema of a registry are read quickly and in little memory, or are rejected."""

import base64
import json
import re
import tracemalloc
from contextlib import suppress
from io import BytesIO
from itertools import count
from pathlib import Path
from time import thread_time
from typing import Any

from fastavro import parse_schema, schemaless_writer
from fastavro.utils import generate_one
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from hypothesis import example, given
from hypothesis import strategies as st

from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected, UnusableSchema
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from service.handler.kafka.registry.schemas import SchemaCache
from tests.fuzz.profile import fuzzed
from tests.kit.decoding import message_decoder

MAX_CPU_SECONDS = 1.0
MAX_MEMORY = 32 * 2**20
"""Of a message of a few kilobytes, with the memory that the libraries need for its schema."""

NAMES = st.sampled_from([*Order.__struct_fields__, "unknown"])
CONTENTS = st.binary(max_size=100) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=4), st.integers(1, 500))


def decimal(kind: str, precision: int, scale: int) -> dict[str, Any]:
    size = {"name": "", "size": 4} if kind == "fixed" else {}
    return {"type": kind, "logicalType": "decimal", "precision": precision, "scale": scale, **size}


AVRO_SCALARS: st.SearchStrategy[Any] = (
    st.sampled_from(["boolean", "int", "long", "float", "double", "bytes", "string"])
    | st.sampled_from(["null", "T0", "T1", "string"])
    | st.builds(decimal, st.sampled_from(["bytes", "fixed"]), st.integers(0, 2**33), st.integers(-1, 40))
    | st.builds(
        lambda kind, logical: {"type": kind, "logicalType": logical},
        st.sampled_from(["int", "long", "string", "bytes"]),
        st.sampled_from(["date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "uuid"]),
    )
    | st.builds(lambda size: {"type": "fixed", "name": "", "size": size}, st.integers(1, 20))
    | st.just({"type": "enum", "name": "", "symbols": ["A", "B"]})
)


def avro_record(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": "", "fields": [{"name": name, "type": kind} for name, kind in fields]}


def avro_records(kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.lists(st.tuples(NAMES, kinds), min_size=1, max_size=4, unique_by=lambda field: field[0])
    return st.builds(avro_record, fields)


AVRO_KINDS: st.SearchStrategy[Any] = st.recursive(
    AVRO_SCALARS,
    lambda kinds: (
        avro_records(kinds)
        | st.builds(lambda kind: {"type": "array", "items": kind}, kinds)
        | st.builds(lambda kind: {"type": "map", "values": kind}, kinds)
        | st.lists(kinds, min_size=1, max_size=3).map(lambda branches: ["null", *branches])
    ),
    max_leaves=12,
)


def avro_schema(order: dict[str, Any]) -> RegisteredSchema:
    """Name the types T0, T1 and so on, so that others can refer to them."""
    numbers = count()
    text = json.dumps(order)
    while '"name": ""' in text:
        text = text.replace('"name": ""', f'"name": "T{next(numbers)}"', 1)
    return RegisteredSchema("AVRO", text)


MESSAGES = range(3)
IMPORTS = ["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto", "confluent/type/decimal.proto"]
TYPES = [f".M{number}" for number in MESSAGES] + [
    ".google.protobuf.Timestamp",
    ".google.protobuf.DoubleValue",
    ".confluent.type.Decimal",
]
PROTOBUF_FIELDS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from([FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED]),
        st.sampled_from(TYPES) | st.sampled_from([1, 3, 5, 8, 9, 12, 18]),
    ),
    max_size=4,
    unique_by=lambda field: field[0],
)


def protobuf_schema(messages: list[list[tuple[str, Any, str | int]]]) -> RegisteredSchema:
    types = []
    for index, fields in enumerate(messages):
        message = DescriptorProto(name=f"M{index}")
        for number, (name, label, kind) in enumerate(fields, 1):
            more: dict[str, Any] = {"type": kind} if isinstance(kind, int) else {"type": 11, "type_name": kind}
            message.field.append(FieldDescriptorProto(name=name, number=number, label=label, **more))
        types.append(message)
    file = FileDescriptorProto(name="order.proto", syntax="proto3", dependency=IMPORTS, message_type=types)
    return RegisteredSchema("PROTOBUF", base64.b64encode(file.SerializeToString()).decode())


PROTOBUF_VALUES = st.binary(max_size=20).map(lambda value: bytes([len(value)]) + value)
PROTOBUF_CONTENTS = st.lists(
    st.builds(lambda field, value: bytes([field << 3 | 2]) + value, st.integers(1, 4), PROTOBUF_VALUES)
    | st.builds(lambda field, value: bytes([field << 3, value]), st.integers(1, 4), st.integers(0, 127))
).map(lambda fields: b"\0" + b"".join(fields))


AVRO_CASES = st.tuples(avro_records(AVRO_KINDS).map(avro_schema), st.none() | CONTENTS)
"""None: a message that matches the schema."""
PROTOBUF_CASES = st.tuples(
    st.lists(PROTOBUF_FIELDS, min_size=len(MESSAGES), max_size=len(MESSAGES)).map(protobuf_schema),
    PROTOBUF_CONTENTS | CONTENTS,
)
DEEP: Any = "boolean"
for _ in range(60):
    DEEP = avro_record([("items", DEEP)])
BOMB = avro_schema(avro_record([("items", {"type": "array", "items": DEEP})]))
AMOUNT = protobuf_schema([[("sm_id", 1, ".confluent.type.Decimal")], [], []])


@fuzzed
@given(AVRO_CASES | PROTOBUF_CASES)
@example((BOMB, b"\xc0\xb8\x02" + b"\1" * 20_000 + b"\0"))
@example((AMOUNT, b"\0\x0a\x0d\x0a\x01\x01\x18" + b"\xff" * 4 + b"\x07"))
@example((AMOUNT, b"\0\x0a\x0e\x0a\x01\x01\x18\xe0\xf2\xf9" + b"\xff" * 6 + b"\x01"))
def test_a_message_of_any_schema_is_an_order_or_is_rejected(case: tuple[RegisteredSchema, bytes | None]) -> None:
    schema, content = case
    value = b"\0\0\0\0\1" + (matching(schema) if content is None else content)
    schemas = SchemaCache(lambda _: schema, reader_of, max_entries=1, unknown_id_attempts=1)
    schemas.load(1)
    decoder = message_decoder(schemas=schemas)
    tracemalloc.start()
    began = thread_time()
    try:
        decoder.decode(Record("orders", 0, 0, 0, None, value, None))
    except DocumentRejected:
        pass
    finally:
        seconds, (_, memory) = thread_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seconds < MAX_CPU_SECONDS
    assert memory < MAX_MEMORY


def matching(schema: RegisteredSchema) -> bytes:
    """Return a message of an Avro schema; an empty one if it is invalid, or no values of a type can be generated."""
    stream = BytesIO()
    try:
        parsed = parse_schema(json.loads(schema.text))
        schemaless_writer(stream, parsed, generate_one(parsed))
    except Exception:  # noqa: BLE001 - of fastavro: many kinds
        return b""
    return stream.getvalue()


PUBLISHED = (Path(__file__).parents[2] / "docs/order.proto").read_text()
WORDS = [
    *re.findall(r"\w+|[^\w\s]", PUBLISHED),
    *[
        "map",
        "<",
        ">",
        "[",
        "]",
        "(",
        ")",
        "/*",
        "//",
        "'",
        "json_name",
        "enum",
        "oneof",
        "option",
        "group",
        "0x",
        "09",
        "-1",
    ],
]
SOURCES = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join) | st.builds(
    lambda start, words, end: PUBLISHED[:start] + words + PUBLISHED[end:],
    st.integers(0, len(PUBLISHED)),
    st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    st.integers(0, len(PUBLISHED)),
)


@fuzzed
@given(SOURCES)
@example("message A {" * 90_000)
@example("message A { option x = " + "{" * 1_000_000)
@example("/*" * 500_000)
@example('"' * 2**20)
def test_any_source_of_a_protobuf_schema_is_read_quickly_or_unusable(text: str) -> None:
    began = thread_time()
    with suppress(UnusableSchema):
        reader_of(RegisteredSchema("PROTOBUF", text))
    assert thread_time() - began < MAX_CPU_SECONDS
