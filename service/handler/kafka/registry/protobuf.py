"""Reads Protobuf messages with descriptors from the registry, without generated classes."""

import base64
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any, Final

from confluent_kafka.schema_registry.confluent import meta_pb2
from confluent_kafka.schema_registry.confluent.type import decimal_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from service.errors import UnusableSchema
from service.handler.kafka.registry.decimals import to_number
from service.handler.kafka.registry.protobuf_text import parse_text
from service.handler.kafka.registry.reader import (
    MAX_MEMORY_BYTES,
    RawDocument,
    SchemaFile,
    SchemaReader,
    mismatches_rejected,
    require_size,
    undecodable,
)

_MAX_MESSAGES: Final = 20_000
"""Nested messages of one message: an empty one takes two bytes, but an object with all fields in memory."""
_MIN_NESTED_BYTES: Final = 2
"""Of a nested message: its tag and its length."""
_PARSED_BYTES: Final = 80
"""Memory of a parsed message without fields."""
_FIELD_BYTES: Final = 18
"""Memory of an absent field in a parsed message; the largest is a text."""
_MAX_INDEXES: Final = 32
_MAX_VARINT_SHIFT: Final = 28
"""Of the fifth byte, which ends every number of 32 bits."""
_MISMATCH: Final = "Protobuf bytes do not match the schema"
_BUILT_IN: Final = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (
        *(any_pb2, descriptor_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2),
        *(meta_pb2, decimal_pb2),
    )
}
"""Files that every schema can import without a reference."""

Convert = Callable[[Any, list[int]], Any]
"""Converts a value of a message. The list has one element: the number of nested messages so far."""


def protobuf_reader(text: str, references: Sequence[SchemaFile] = ()) -> SchemaReader:
    """Return a reader of a schema's messages. Raises UnusableSchema."""
    reader = _ProtobufReader(parse_file("schema.proto", text), [parse_file(*each) for each in references])
    return mismatches_rejected(reader, _MISMATCH)


def parse_file(name: str, text: str) -> FileDescriptorProto:
    """Return the descriptor of a file: registries return it in Base64, or its source. Raises UnusableSchema."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        file = parse_text(text)
    else:
        file = _parse_descriptor(content)
    file.name = name
    return file


def _parse_descriptor(content: bytes) -> FileDescriptorProto:
    try:
        return FileDescriptorProto.FromString(content)
    except DecodeError:
        raise UnusableSchema("is not a serialized Protobuf descriptor") from None


class _ProtobufReader:
    def __init__(self, file: FileDescriptorProto, imports: Sequence[FileDescriptorProto]) -> None:
        self._file = file
        self._pool = _pool([*imports, file])
        self._readers: dict[tuple[int, ...], Callable[[bytes], RawDocument]] = {}
        """By message indexes."""

    def __call__(self, content: bytes) -> RawDocument:
        indexes, start = ((0,), 1) if content[:1] == b"\0" else _read_indexes(content)
        reader = self._readers.get(indexes)
        if reader is None:
            reader = self._readers[indexes] = _message_reader(self._find(indexes))
        return reader(content[start:])

    def _find(self, indexes: tuple[int, ...]) -> Descriptor:
        """Return the type with these message indexes: of a type in its file, then of each nested type in its parent."""
        names, types = [self._file.package] if self._file.package else [], self._file.message_type
        for index in indexes:
            if not 0 <= index < len(types):
                raise undecodable("Protobuf message index is not in the schema")
            names.append(types[index].name)
            types = types[index].nested_type
        found: Descriptor = self._pool.FindMessageTypeByName(".".join(names))
        return found


def _pool(files: Sequence[FileDescriptorProto]) -> DescriptorPool:
    pool, given = DescriptorPool(), {file.name for file in files}
    try:
        for name, descriptor in _BUILT_IN.items():
            if name not in given:
                pool.AddSerializedFile(descriptor.serialized_pb)
        for file in files:
            pool.AddSerializedFile(file.SerializeToString())
    except (TypeError, KeyError, ValueError):  # its text contains the schema
        raise UnusableSchema("is not valid Protobuf, or imports a file that it does not refer to") from None
    return pool


def _read_indexes(content: bytes) -> tuple[tuple[int, ...], int]:
    """Return the message indexes, and where the message begins. Their number and each of them is a zigzag varint."""
    count, position = _read_varint(content, 0)
    if not 0 <= count <= _MAX_INDEXES:
        raise undecodable(_MISMATCH)
    indexes = []
    for _ in range(count):
        index, position = _read_varint(content, position)
        indexes.append(index)
    return tuple(indexes) or (0,), position


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while content[position : position + 1] >= b"\x80" and shift < _MAX_VARINT_SHIFT:
        number |= (content[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    if content[position : position + 1] >= b"\x80" or position >= len(content):
        raise undecodable(_MISMATCH)
    number |= content[position] << shift
    return (number >> 1) ^ -(number & 1), position + 1


def _message_reader(descriptor: Descriptor) -> Callable[[bytes], RawDocument]:
    parse, convert = GetMessageClass(descriptor).FromString, _Converters().of(descriptor)
    max_bytes = _max_bytes(descriptor)

    def read(content: bytes) -> RawDocument:
        require_size(content, max_bytes, "Protobuf")
        return convert(parse(content), [0])  # type: ignore[no-any-return]

    return read


def _max_bytes(descriptor: Descriptor) -> int:
    """Return the size of a message that consists of empty nested ones and takes `MAX_MEMORY_BYTES`."""
    fields = _nested_fields(descriptor)
    parsed = _PARSED_BYTES + _FIELD_BYTES * fields
    converted = sys.getsizeof({str(number): None for number in range(fields)}) + _FIELD_BYTES
    messages = MAX_MEMORY_BYTES // (parsed + converted)
    if messages > _MAX_MESSAGES:  # more are parsed, but not converted
        messages = (MAX_MEMORY_BYTES - _MAX_MESSAGES * converted) // parsed
    return _MIN_NESTED_BYTES * messages


def _nested_fields(descriptor: Descriptor) -> int:
    """Return the number of fields of the nested type that has most of them."""
    nested, waiting = {}, [descriptor]
    while waiting:
        for field in waiting.pop().fields:
            if field.message_type and field.message_type.full_name not in nested:
                nested[field.message_type.full_name] = len(field.message_type.fields)
                waiting.append(field.message_type)
    return max(nested.values(), default=0)


class _Converters:
    """Converters of message types, which may contain each other. Each is created once."""

    def __init__(self) -> None:
        self._by_type: dict[str, Convert] = {}

    def of(self, descriptor: Descriptor) -> Convert:
        if special := _SPECIAL.get(descriptor.full_name):
            return special
        if descriptor.full_name not in self._by_type:
            fields: list[tuple[str, str, bool, Convert | None]] = []
            self._by_type[descriptor.full_name] = _object_converter(fields)  # before its fields: it may contain itself
            fields.extend(self._fields(descriptor))
        return self._by_type[descriptor.full_name]

    def _fields(self, descriptor: Descriptor) -> Iterator[tuple[str, str, bool, Convert | None]]:
        for field in descriptor.fields:
            yield _name(field), field.name, field.has_presence, self._of_field(field)

    def _of_field(self, field: FieldDescriptor) -> Convert | None:
        """Return None if the value stays as it is."""
        if field.message_type and field.message_type.GetOptions().map_entry:
            return _map_converter(self._of_value(field.message_type.fields_by_name["value"]))
        convert = self._of_value(field)
        return _list_converter(convert) if field.is_repeated else convert

    def _of_value(self, field: FieldDescriptor) -> Convert | None:
        if field.message_type:
            return self.of(field.message_type)
        if field.enum_type:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number, _: names.get(number, number)
        return None


def _object_converter(fields: Sequence[tuple[str, str, bool, Convert | None]]) -> Convert:
    def convert(message: Message, count: list[int]) -> dict[str, Any]:
        count[0] += 1
        if count[0] > _MAX_MESSAGES:
            raise undecodable(f"Protobuf message with more than {_MAX_MESSAGES} nested messages")
        document = {}
        for name, attribute, has_presence, convert_field in fields:
            if not has_presence or message.HasField(attribute):
                value = getattr(message, attribute)
                document[name] = value if convert_field is None else convert_field(value, count)
        return document

    return convert


def _list_converter(convert: Convert | None) -> Convert:
    if convert is None:
        return lambda values, _: list(values)
    return lambda values, count: [convert(value, count) for value in values]


def _map_converter(convert: Convert | None) -> Convert:
    if convert is None:
        return lambda values, _: {str(key): value for key, value in values.items()}
    return lambda values, count: {str(key): convert(value, count) for key, value in values.items()}


def _name(field: FieldDescriptor) -> str:
    """Return the field's `json_name` if the schema sets one, else its name (with underscores, as in the document)."""
    return field.name if field.json_name == _default_json_name(field.name) else str(field.json_name)


def _default_json_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


_SPECIAL: Final[dict[str, Convert]] = {
    "google.protobuf.Timestamp": lambda message, _: message.ToDatetime(tzinfo=UTC),
    "confluent.type.Decimal": lambda message, _: to_number(message.value, message.scale),
    **{
        f"google.protobuf.{name}Value": lambda message, _: message.value
        for name in ("String", "Int32", "Int64", "UInt32", "UInt64", "Bool", "Double", "Float", "Bytes")
    },
}
"""Messages that stand for one value."""
