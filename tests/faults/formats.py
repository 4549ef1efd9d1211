"""Streams of orders in one format, and the registry that has their schemas."""

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final, cast

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from generator.encodings import KINDS, Encoding, encoder, framed, schema_text
from generator.formats import JSON, REGISTRY_FORMATS
from generator.orders import Document
from generator.stream import TOMBSTONE, Message, Plan, stream
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from tests.faults.background_producer import BackgroundProducer
from tests.faults.workload import MIX, RATE, Workload
from tests.kit.registry import Registry

LABELS: Final[Mapping[str, MessageFormat]] = {
    "json": MessageFormat.JSON,
    "gzip": MessageFormat.JSON,
    "cloudevents": MessageFormat.CLOUDEVENTS,
    "cloudevents-binary": MessageFormat.CLOUDEVENTS,
    "debezium": MessageFormat.DEBEZIUM,
    "debezium-schema": MessageFormat.DEBEZIUM,
    "outbox": MessageFormat.DEBEZIUM,
    "connect": MessageFormat.CONNECT,
    "confluent-json": MessageFormat.CONFLUENT,
    "avro": MessageFormat.CONFLUENT,
    "protobuf": MessageFormat.CONFLUENT,
}
"""Every format of the generator, and what the service counts it as."""
HEADERS: Final[Headers] = [("source", b"shop"), ("source", b"again"), ("empty", None)]
"""Of messages with a schema: dead letters keep them."""
UNKNOWN_ID: Final = 2**31 - 1
BOMB_BYTES: Final = 256 * 2**20
"""Memory that a message would take if it was not bounded; the messages themselves have less than 1 MiB."""
AVRO_MAPS: Final = 10**6
"""An empty map takes a byte in Avro, and 80 in memory."""
PROTOBUF_PARTS: Final = 3 * 10**5
"""An empty message takes two bytes in Protobuf, and a kilobyte in memory if its type has sixty fields."""


class SchemaRegistry:
    """Contains the schemas of the order, and of a bomb in Avro and in Protobuf."""

    def __init__(self, server: Registry) -> None:
        self._server = server
        self.ids: dict[str, int] = {}

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        """Start without schemas, because it has them in memory."""
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def register(self) -> None:
        """Register all schemas, which have the same ids each time."""
        texts = {encoding: (kind, schema_text(encoding)) for encoding, kind in KINDS.items()}
        bombs = {"avro-bomb": ("AVRO", _avro_of_maps()), "protobuf-bomb": ("PROTOBUF", _protobuf_of_parts())}
        for subject, (kind, text) in (texts | bombs).items():
            found = self._server.register(subject, kind, text)
            assert self.ids.setdefault(subject, found) == found


@dataclass
class FormattedOrders:
    """A workload whose messages have one format."""

    workload: Workload
    message_format: str
    registry: SchemaRegistry
    _documents: dict[bytes, Document] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workload.documents = self._documents

    @property
    def has_schema(self) -> bool:
        return self.message_format in REGISTRY_FORMATS

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a member. Some generated faults begin like a message with a schema: it is not asked for long."""
        return {"ORDERS_REGISTRY__URLS": self.registry.url, "ORDERS_REGISTRY__UNKNOWN_ID_ATTEMPTS": "2"}

    def send(self, seconds: float, plan: Plan = MIX, more: Iterable[Message] = ()) -> BackgroundProducer:
        """Produce the plan's stream in the background at the usual rate, and then further messages."""
        shape = replace(plan, count=int(seconds * RATE), seed=self.workload.seed)
        if self.has_schema:
            messages = self._encoded(stream(replace(shape, format=JSON)))
        else:
            messages = stream(replace(shape, format=self.message_format))
        return self.workload.produce_messages(chain(messages, more), RATE)

    def poison(self) -> Iterator[Message]:
        """Yield messages that no generated stream contains."""
        yield _bad(gzip.compress(bytes(BOMB_BYTES)), Reason.TOO_LARGE)
        if not self.has_schema:
            return
        order = json.loads(next(stream(Plan(seed=self.workload.seed))).value or b"")
        encode, schema_id = encoder(self._encoding), self.registry.ids[self._encoding]
        content = encode(order)
        yield _bad(framed(schema_id, content[:-1]), Reason.UNDECODABLE)
        yield _bad(framed(schema_id, encode(order | {"order_uid": ""})), Reason.INVALID)
        yield _bad(framed(UNKNOWN_ID, content), Reason.UNDECODABLE)
        if self._encoding == "avro":
            yield _bad(framed(self.registry.ids["avro-bomb"], _avro_bomb()), Reason.UNDECODABLE)
        if self._encoding == "protobuf":
            yield _bad(framed(self.registry.ids["protobuf-bomb"], _protobuf_bomb()), Reason.UNDECODABLE)

    @property
    def _encoding(self) -> Encoding:
        return cast("Encoding", self.message_format)

    def _encoded(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Encode orders, and remember them for the checker. Generated faults are faults of JSON, and stay JSON."""
        encode, schema_id = encoder(self._encoding), self.registry.ids[self._encoding]
        for message in messages:
            if message.reason or message.kind == TOMBSTONE or not message.value:
                yield message
                continue
            document = json.loads(message.value)
            value = framed(schema_id, encode(document))
            self._documents[value] = document
            yield message._replace(value=value, headers=HEADERS)


def _bad(value: bytes, reason: Reason) -> Message:
    return Message(b"poison", value, "poison", reason, headers=HEADERS)


def _avro_of_maps() -> str:
    maps: Any = {"type": "array", "items": {"type": "map", "values": "int"}}
    return json.dumps({"type": "record", "name": "Maps", "fields": [{"name": "items", "type": maps}]})


def _avro_bomb() -> bytes:
    """Return a block of that many empty maps, and the end of the array."""
    return _zigzag(AVRO_MAPS) + bytes(AVRO_MAPS) + b"\0"


def _zigzag(number: int) -> bytes:
    number *= 2
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _protobuf_of_parts() -> str:
    """Return the descriptor of `message Order { repeated Part items = 1; }`, whose parts have sixty fields."""
    file = FileDescriptorProto(name="parts.proto", syntax="proto3")
    order, part = file.message_type.add(name="Order"), file.message_type.add(name="Part")
    optional, repeated = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    order.field.add(name="items", number=1, label=repeated, type=FieldDescriptorProto.TYPE_MESSAGE, type_name=".Part")
    for number in range(1, 61):
        part.field.add(name=f"f{number}", number=number, label=optional, type=FieldDescriptorProto.TYPE_STRING)
    return base64.b64encode(file.SerializeToString()).decode()


def _protobuf_bomb() -> bytes:
    return b"\0" + b"\x0a\x00" * PROTOBUF_PARTS
