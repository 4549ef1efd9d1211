"""docs/asyncapi.json describes what producers, consumers and replays send."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from generator.formats import wrap
from reference import ROOT
from reference.asyncapi import FRAMED_ORDERS, HEADERS, WRAPPED_ORDERS
from reference.documents import render_asyncapi
from service.entities.dead_letter import DeadLetter, Reason
from service.entities.dead_letter_headers import NAMES, Header, Headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.order import json_schema
from service.entities.record import Record
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.replay import replay_headers
from tests.kit.factories import SAMPLE

SPECIFICATION = ROOT / "web" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
ENCODER = DeadLetterEncoder("orders")
ORIGINAL: Headers = [("traceparent", b"00-1-2-01"), (Header.REPLAYS, b"2")]


DOCUMENT = json.loads(render_asyncapi())


def specification() -> Draft7Validator:
    if not SPECIFICATION.is_file():
        pytest.skip("needs the AsyncAPI schema in web/node_modules: make web")
    return Draft7Validator(json.loads(SPECIFICATION.read_text()))


def test_the_document_is_valid_asyncapi() -> None:
    specification().validate(DOCUMENT)


@pytest.mark.parametrize(
    "broken",
    [
        DOCUMENT | {"asyncapi": "2.6.0"},
        DOCUMENT | {"operations": {"consume": {"action": "consume", "channel": {"$ref": "#/channels/orders"}}}},
        DOCUMENT | {"components": {"messages": {"Order": {"payload": {"type": "document"}}}}},
        DOCUMENT | {"components": {"messages": {"Order": {"bindings": {"kafka": {"bindingVersion": "0"}}}}}},
    ],
    ids=["version", "operation", "schema", "binding"],
)
def test_an_invalid_document_is_detected(broken: dict[str, Any]) -> None:
    assert not specification().is_valid(broken)


def test_every_reference_exists_and_every_component_is_used() -> None:
    references = set(_references(DOCUMENT))
    components = {f"#/components/{kind}/{name}" for kind, each in DOCUMENT["components"].items() for name in each}
    channels = {f"#/channels/{name}" for name in DOCUMENT["channels"]}
    assert references == components | channels


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for value in node.values() for each in _references(value)]
    return [each for value in node for each in _references(value)] if isinstance(node, list) else []


def test_the_order_has_the_schema_of_the_decoder() -> None:
    schemas = json.dumps(DOCUMENT["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
    assert json.loads(schemas).items() >= json_schema()["$defs"].items()
    validator("payload", "Order").validate(SAMPLE)
    with pytest.raises(ValidationError):
        validator("payload", "Order").validate(SAMPLE | {"order_uid": "with space"})


@pytest.mark.parametrize(
    ("message_format", "message"),
    {
        "json": "Order",
        "cloudevents": "CloudEvent",
        "cloudevents-binary": "Order",
        "debezium": "DebeziumEvent",
        "debezium-schema": "DebeziumEvent",
        "outbox": "DebeziumEvent",
        "connect": "ConnectEnvelope",
    }.items(),
)
def test_a_message_of_each_format_is_described(message_format: str, message: str) -> None:
    value, _ = wrap(json.dumps(SAMPLE).encode(), message_format)
    assert value
    described = [name for name in ("Order", *WRAPPED_ORDERS) if validator("payload", name).is_valid(json.loads(value))]
    assert described == [message]


def test_orders_with_a_schema_in_a_registry_have_the_published_schemas() -> None:
    messages = DOCUMENT["components"]["messages"]
    json_payload, avro, protobuf = (messages[name]["payload"] for name in FRAMED_ORDERS)
    assert json_payload == messages["Order"]["payload"]
    assert avro["schema"] == json.loads((ROOT / "docs" / "order.avsc").read_text())
    assert protobuf["schema"] == (ROOT / "docs" / "order.proto").read_text()
    assert DOCUMENT["channels"]["orders"]["messages"].keys() >= FRAMED_ORDERS.keys()
    for name in FRAMED_ORDERS:
        assert messages[name]["bindings"]["kafka"]["schemaIdPayloadEncoding"] == "confluent"


def test_every_header_and_reason_is_described() -> None:
    assert HEADERS.keys() == NAMES
    assert HEADERS[Header.REASON]["enum"] == [reason.value for reason in Reason]
    assert all(reason.meaning in HEADERS[Header.REASON]["description"] for reason in Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_dead_letter_has_the_headers_of_the_document(reason: Reason) -> None:
    payload = ENCODER.encode(dead_letter(reason))
    headers = text(payload.headers)
    validator("headers", "DeadLetter").validate(headers)
    assert headers.keys() - {"traceparent"} == set(schema("headers", "DeadLetter")["properties"])


@pytest.mark.parametrize("fallback", [0, 1], ids=["stub", "bare stub"])
def test_a_stub_has_the_headers_and_the_value_of_the_document(fallback: int) -> None:
    payload = ENCODER.fallbacks[fallback](dead_letter(Reason.INVALID))
    headers, value = text(payload.headers), json.loads(payload.value or b"")
    validator("headers", "DeadLetterStub").validate(headers)
    validator("payload", "DeadLetterStub").validate(value)
    assert headers.keys() - {"traceparent"} == set(schema("headers", "DeadLetterStub")["properties"])
    assert value.keys() == set(schema("payload", "DeadLetterStub")["properties"])


def test_a_replayed_message_has_the_headers_of_the_document() -> None:
    sent = ENCODER.encode(dead_letter(Reason.REJECTED))
    record = DeadLetterRecord(0, 0, 1_000, sent.key, sent.value, [*sent.headers])
    headers = text(replay_headers(record, "support"))
    validator("headers", "Order").validate(headers)
    assert headers.keys() | {"tracestate"} == set(schema("headers", "Order")["properties"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Header.REASON, "unknown"),
        (Header.OFFSET, "-1"),
        (Header.PARTITION, "one"),
        (Header.TOPIC, "with space"),
        (Header.FAILED_AT, "yesterday"),
        (Header.STUB, "false"),
    ],
)
def test_a_malformed_header_violates_the_document(name: str, value: str) -> None:
    (stub, _) = ENCODER.fallbacks
    headers = text(stub(dead_letter(Reason.INVALID)).headers)
    with pytest.raises(ValidationError):
        validator("headers", "DeadLetterStub").validate(headers | {name: value})


def dead_letter(reason: Reason) -> DeadLetter:
    return DeadLetter(Record("orders", 2, 7, 1_000, b"key", b"faulty", ORIGINAL), reason, "sm_id: is missing", 3)


def text(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}


def schema(part: str, message: str) -> dict[str, Any]:
    """Return the schema of the message's payload or headers."""
    reference: str = DOCUMENT["components"]["messages"][message][part]["$ref"]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def validator(part: str, message: str) -> Draft202012Validator:
    reference = DOCUMENT["components"]["messages"][message][part]
    return Draft202012Validator(
        reference | {"components": DOCUMENT["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
