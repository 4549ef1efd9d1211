"""The wire format of Confluent's serializers: the id of a schema, and bytes that need this schema."""

from typing import Final

from service.entities.message_format import MessageFormat
from service.handler.kafka.consumer.formats.document import RawMessage, undecodable

ID_HEADER: Final = "__value_schema_id"
"""Header with a GUID: 0x01 and 16 bytes."""
PREFIX_BYTES: Final = 5
"""0x00 and a big-endian id of 4 bytes, in front of the value."""

_MAGIC_BYTE: Final = 0


def describe(message: RawMessage) -> str | None:
    """Name the format and the schema of a message in Confluent's wire format; else None."""
    title = MessageFormat.CONFLUENT.description
    if message.header(ID_HEADER) is not None:
        return f"{title}, schema GUID in a header"
    if message.value[0] == _MAGIC_BYTE and len(message.value) >= PREFIX_BYTES:
        return f"{title}, schema id {int.from_bytes(message.value[1:PREFIX_BYTES], 'big')}"
    return None


class ConfluentWithoutRegistry:
    """Rejects every message of the format, because no schema registry is configured."""

    format = MessageFormat.CONFLUENT

    def describe(self, message: RawMessage) -> str | None:
        return describe(message)

    def document(self, message: RawMessage) -> None:
        raise undecodable(f"{describe(message)}: set registry.urls")
