"""The wire format of Confluent's serializers: which schema a message needs, and the bytes that it describes."""

from struct import Struct
from typing import Final
from uuid import UUID

SchemaKey = int | UUID
"""A schema id from the prefix of a value, or a schema GUID from a header."""

ID_HEADER: Final = "__value_schema_id"
"""Header with a schema GUID: the magic byte 0x01 and 16 bytes. With Protobuf, the message indexes follow."""
ID_MARK: Final = 0
ID_BYTES: Final = 5
"""Length of the prefix: the magic byte 0x00, and a big-endian id. With Protobuf, the message indexes follow."""

_GUID_MARK: Final = 1
_GUID_BYTES: Final = 17


_id_of: Final = Struct(">xI").unpack_from

Frame = tuple[SchemaKey, bytes]
"""The schema, and the bytes that it describes (Protobuf: after the message indexes). A plain tuple, for speed."""


def read_frame(value: bytes, header: bytes | None) -> Frame | None:
    """Return the frame of a value, given its message's `ID_HEADER`; None if it is not in this format."""
    if header and len(header) >= _GUID_BYTES and header[0] == _GUID_MARK:
        return UUID(bytes=header[1:_GUID_BYTES]), header[_GUID_BYTES:] + value
    if len(value) >= ID_BYTES and value[0] == ID_MARK:
        return _id_of(value)[0], value[ID_BYTES:]
    return None


def describe_key(key: SchemaKey) -> str:
    return f"schema id {key}" if isinstance(key, int) else f"schema GUID {key}"
