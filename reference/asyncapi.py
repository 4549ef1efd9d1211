"""The AsyncAPI document of the topics, from the types that describe their messages."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from service.entities.dead_letter import Reason, Stub
from service.entities.dead_letter_headers import MAX_DIGITS, TOPIC_PATTERN, Header
from service.entities.order import json_schema
from service.entities.order_schemas import avro_schema, protobuf_schema

Schema = dict[str, Any]

_COMPONENTS: Final = "#/components/schemas/"
_KAFKA_BINDING: Final = "0.5.0"
WRAPPED_ORDERS: Final = {
    "CloudEvent": "A CloudEvent 1.0 in structured mode; in binary mode, the value is the order.",
    "DebeziumEvent": "A Debezium change event, or a message of Debezium's outbox event router.",
    "ConnectEnvelope": "The envelope of Kafka Connect's JsonConverter.",
}
"""Messages and schemas of other formats, with their summaries."""
FRAMED_ORDERS: Final[Mapping[str, Schema]] = {
    "ConfluentJson": {"$ref": f"{_COMPONENTS}Order"},
    "ConfluentAvro": {"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": avro_schema()},
    "ConfluentProtobuf": {"schemaFormat": "application/vnd.google.protobuf;version=3", "schema": protobuf_schema()},
}
"""Messages in Confluent's wire format, with the schemas that `orders schema` prints."""


def document(version: str, topic: str, dead_letter_topic: str) -> Schema:
    """Return the AsyncAPI 3 document of this version of Orders."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orders",
            "version": version,
            "description": "Orders reads each order from a Kafka topic and stores it in PostgreSQL exactly once. "
            "Messages that cannot be stored are sent to the dead-letter topic, from which they can be replayed.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "orders": _channel(topic, "The orders to store.", "Order", "Tombstone", *WRAPPED_ORDERS, *FRAMED_ORDERS),
            "deadLetters": _channel(
                dead_letter_topic, "Messages that were not stored, and why.", "DeadLetter", "DeadLetterStub"
            ),
        },
        "operations": {
            "consumeOrders": _operation("receive", "orders", "Consumers store the orders."),
            "sendDeadLetters": _operation("send", "deadLetters", "Consumers send what they cannot store."),
            "readDeadLetters": _operation("receive", "deadLetters", "The API and `orders dlq` list them."),
            "replayDeadLetters": _operation(
                "send", "orders", "A replay sends dead letters again, with the headers that keep their version."
            ),
        },
        "components": {"schemas": _schemas(), "messages": _messages()},
    }


def _channel(address: str, description: str, *messages: str) -> Schema:
    references = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {"address": address, "description": description, "messages": references}


def _operation(action: str, channel: str, summary: str) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _messages() -> Schema:
    order_key = {
        "type": "string",
        "description": "The `order_uid`, so that all versions of an order are in one partition. "
        "Consumers accept any other key, and none.",
    }
    any_key = {"description": "The key of the original message, byte for byte."}
    return {
        "Order": {
            "title": "An order",
            "summary": "A new order, or a version that replaces the stored one completely.",
            "payload": {"$ref": f"{_COMPONENTS}Order"},
            "headers": {"$ref": f"{_COMPONENTS}OrderHeaders"},
            "bindings": _kafka_key(order_key),
        },
        **{name: _wrapped(name, summary) for name, summary in WRAPPED_ORDERS.items()},
        **{name: _framed(payload, order_key) for name, payload in FRAMED_ORDERS.items()},
        "Tombstone": {
            "title": "A tombstone",
            "summary": "A message without a value, or with the JSON value null. It is counted, and deletes nothing.",
            "payload": {"type": "null"},
            "bindings": _kafka_key(order_key),
        },
        "DeadLetter": {
            "title": "A dead letter",
            "summary": "Key, value and headers of a message that was not stored, and the reason.",
            "contentType": "application/octet-stream",
            "payload": {"description": "The value of the original message, byte for byte."},
            "headers": {"$ref": f"{_COMPONENTS}DeadLetterHeaders"},
            "bindings": _kafka_key(any_key),
        },
        "DeadLetterStub": {
            "title": "A dead letter without its value",
            "summary": "Describes a message that is too large for the dead-letter topic. "
            "Key and original headers are omitted if they alone are too large.",
            "payload": {"$ref": f"{_COMPONENTS}Stub"},
            "headers": {"$ref": f"{_COMPONENTS}DeadLetterStubHeaders"},
            "bindings": _kafka_key(any_key),
        },
    }


def _wrapped(name: str, summary: str) -> Schema:
    """Return the message that contains an order in another format, with the schema of this name."""
    return {
        "title": "An order in another format",
        "summary": f"{summary} docs/formats.md describes the format. Values may also be compressed with gzip.",
        "payload": {"$ref": f"{_COMPONENTS}{name}"},
    }


def _framed(payload: Schema, key: Schema) -> Schema:
    """Return the message that contains an order in Confluent's wire format."""
    return {
        "title": "An order whose schema is in a registry",
        "summary": "Confluent's wire format, if ORDERS_REGISTRY__URLS is set: the id of the schema, then the order. "
        "Other schemas with the same field names work too. docs/formats.md describes the format.",
        "contentType": "application/octet-stream",
        "payload": payload,
        "bindings": _kafka_key(key, schemaIdLocation="payload", schemaIdPayloadEncoding="confluent"),
    }


def _kafka_key(key: Schema, **more: str) -> Schema:
    return {"kafka": {"key": key, **more, "bindingVersion": _KAFKA_BINDING}}


def _schemas() -> Schema:
    stub = json.schema_components([Stub], ref_template=f"{_COMPONENTS}{{name}}")[1]
    return (
        _with_component_refs(json_schema()["$defs"] | stub)
        | _envelopes()
        | {
            "OrderHeaders": {
                "type": "object",
                "description": "All optional; other headers are ignored, and kept in dead letters. "
                "The `dlq-*` headers are those of a replayed message: consumers take its version from "
                f"`{Header.TIMESTAMP}`, `{Header.TOPIC}`, `{Header.PARTITION}` and `{Header.OFFSET}`.",
                "properties": {**_TRACE_HEADERS, **_select(*_ORIGIN, Header.REPLAYS, Header.REPLAYED_BY)},
            },
            "DeadLetterHeaders": _dead_letter_headers(),
            "DeadLetterStubHeaders": _dead_letter_headers(Header.STUB),
        }
    )


def _envelopes() -> Schema:
    order = {"$ref": f"{_COMPONENTS}Order"}
    text = {"type": "string", "description": "The order as JSON text."}
    outbox = _object("payload", payload={"anyOf": [order, text]}) | {"not": {"required": ["schema"]}}
    row = {"anyOf": [order, outbox, {"type": "null"}]}
    event = _object("op", op={"enum": ["c", "u", "r", "d", "t"]}, before={}, after=row)
    version = {"const": "1.0"}
    cloudevents = [
        _object("specversion", "data", specversion=version, data={"anyOf": [order, text]}),
        _object("specversion", "data_base64", specversion=version, data_base64={"type": "string"}),
    ]
    return {
        "CloudEvent": {"anyOf": cloudevents},
        "DebeziumEvent": {"anyOf": [event, _object("payload", schema={}, payload=event), outbox, text]},
        "ConnectEnvelope": _object("schema", "payload", schema={}, payload={"anyOf": [order, text, {"type": "null"}]}),
    }


def _object(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*required]}


def _dead_letter_headers(*more: str) -> Schema:
    names = [
        Header.REASON, Header.DETAIL, *_ORIGIN, Header.GROUP, Header.FAILED_AT, Header.ATTEMPTS, Header.REPLAYS, *more
    ]  # fmt: skip
    return {
        "type": "object",
        "description": "These headers are added to those of the original message, and replace its `dlq-*` headers.",
        "properties": _select(*names),
        "required": names,
    }


def _select(*names: str) -> Schema:
    return {name: HEADERS[name] for name in names}


def _with_component_refs(schemas: Schema) -> Schema:
    """Return the schemas with references into the components of the document."""
    referring: Schema = json.decode(json.encode(schemas).replace(b'"#/$defs/', f'"{_COMPONENTS}'.encode()))
    return referring


def _text(meaning: str, **rules: Any) -> Schema:
    return {"type": "string", "description": meaning, **rules}


def _integer(meaning: str) -> Schema:
    return _text(meaning, pattern=f"^[0-9]{{1,{MAX_DIGITS}}}$")


HEADERS: Final[Schema] = {
    Header.REASON: _text(" ".join(f"`{each}`: {each.meaning}" for each in Reason), enum=[*map(str, Reason)]),
    Header.DETAIL: _text("What is wrong: paths of fields and violated rules, never a value."),
    Header.TOPIC: _text("Topic of the original message.", pattern=f"^{TOPIC_PATTERN}$"),
    Header.PARTITION: _integer("Partition of the original message."),
    Header.OFFSET: _integer("Offset of the original message."),
    Header.TIMESTAMP: _integer("Timestamp of the original message, in milliseconds since 1970-01-01T00:00:00Z."),
    Header.GROUP: _text("Consumer group that dead-lettered the message."),
    Header.FAILED_AT: _text("When the message was dead-lettered.", format="date-time"),
    Header.ATTEMPTS: _integer("How often the consumer tried to process the message."),
    Header.REPLAYS: _integer("How often the message was replayed."),
    Header.REPLAYED_BY: _text("Who replayed the message: the name of an API key, or the user of the command."),
    Header.STUB: _text("Present if the value is a stub.", const="true"),
}
"""Schemas of the headers. Every value is UTF-8 text; an original message is the first one, before all replays."""

_ORIGIN: Final = (Header.TOPIC, Header.PARTITION, Header.OFFSET, Header.TIMESTAMP)
_TRACE_HEADERS: Final = {
    "traceparent": _text("W3C Trace Context. If it is sampled, the consumer adds a span to its trace."),
    "tracestate": _text("W3C Trace Context."),
}
