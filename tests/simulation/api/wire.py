"""Messages of PostgreSQL's protocol, as far as the API uses it: https://www.postgresql.org/docs/current/protocol.html."""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

CANCEL_REQUEST: Final = 80877102
PROTOCOL_3: Final = 196608
TEXT, BINARY = 0, 1


class Oid(IntEnum):
    BOOL = 16
    INT8 = 20
    INT4 = 23
    TEXT = 25
    FLOAT8 = 701
    VOID = 2278


Value = str | int | bool | None
Row = tuple[Value, ...]


class Message(NamedTuple):
    kind: bytes
    body: bytes


class Startup(NamedTuple):
    """A startup packet. Its code is a protocol version or CANCEL_REQUEST."""

    code: int
    body: bytes


def split_startup(data: bytearray) -> Startup | None:
    """Remove the startup packet from the data, once it is complete."""
    if len(data) < 8 or len(data) < (size := struct.unpack_from("!I", data)[0]):
        return None
    packet = Startup(struct.unpack_from("!I", data, 4)[0], bytes(data[8:size]))
    del data[:size]
    return packet


def split(data: bytearray) -> Iterator[Message]:
    """Remove the complete messages from the data."""
    while len(data) >= 5 and len(data) > (size := struct.unpack_from("!I", data, 1)[0]):
        yield Message(bytes(data[:1]), bytes(data[5 : 1 + size]))
        del data[: 1 + size]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def greeting(pid: int, secret: int) -> bytes:
    parameters = {
        "server_version": "18.4",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
        "integer_datetimes": "on",
        "DateStyle": "ISO, MDY",
        "TimeZone": "UTC",
    }
    return b"".join(
        [
            message(b"R", struct.pack("!I", 0)),
            *(message(b"S", text(name) + text(value)) for name, value in parameters.items()),
            message(b"K", struct.pack("!II", pid, secret)),
            ready(b"I"),
        ]
    )


def ready(status: bytes) -> bytes:
    return message(b"Z", status)


def error(sqlstate: str, sentence: str, severity: str = "ERROR") -> bytes:
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": sentence}
    return message(b"E", b"".join(name.encode() + text(value) for name, value in fields.items()) + b"\0")


def notification(pid: int, channel: str, payload: str) -> bytes:
    return message(b"A", struct.pack("!I", pid) + text(channel) + text(payload))


def complete(tag: str) -> bytes:
    return message(b"C", text(tag))


def row_description(columns: Sequence[Oid], form: int) -> bytes:
    fields = (text(f"column{n}") + struct.pack("!IHIhih", 0, 0, oid, -1, -1, form) for n, oid in enumerate(columns))
    return message(b"T", struct.pack("!H", len(columns)) + b"".join(fields))


def data_row(columns: Sequence[Oid], row: Row, form: int) -> bytes:
    values = (_value(oid, value, form) for oid, value in zip(columns, row, strict=True))
    return message(b"D", struct.pack("!H", len(row)) + b"".join(values))


def _value(oid: Oid, value: Value, form: int) -> bytes:
    if value is None:
        return struct.pack("!i", -1)
    encoded = _binary(oid, value) if form == BINARY else _text(value)
    return struct.pack("!i", len(encoded)) + encoded


def _text(value: Value) -> bytes:
    return (b"t" if value else b"f") if isinstance(value, bool) else str(value).encode()


def _binary(oid: Oid, value: Value) -> bytes:
    match oid:
        case Oid.INT8:
            return struct.pack("!q", value)
        case Oid.INT4:
            return struct.pack("!i", value)
        case Oid.BOOL:
            return struct.pack("!?", value)
        case _:
            return str(value).encode()


class Parse(NamedTuple):
    name: bytes
    sql: str


def parse(body: bytes) -> Parse:
    name, sql, _ = body.split(b"\0", 2)
    return Parse(name, sql.decode())


class Bind(NamedTuple):
    statement: bytes
    parameters: list[str]
    form: int
    """Of the results."""


def bind(body: bytes) -> Bind:
    """All parameters are texts, because psycopg sends texts and lists in that form."""
    _, statement, rest = body.split(b"\0", 2)
    _, rest = _numbers(rest)
    count, position = struct.unpack_from("!H", rest)[0], 2
    parameters = []
    for _ in range(count):
        size = struct.unpack_from("!i", rest, position)[0]
        parameters.append(rest[position + 4 : position + 4 + size].decode())
        position += 4 + size
    forms, _ = _numbers(rest[position:])
    return Bind(statement, parameters, (forms or [TEXT])[0])


def _numbers(data: bytes) -> tuple[list[int], bytes]:
    count = struct.unpack_from("!H", data)[0]
    return [*struct.unpack_from(f"!{count}H", data, 2)], data[2 + 2 * count :]
