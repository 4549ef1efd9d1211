"""Messages in each format decode to the order that plain JSON gives."""

import base64
import gzip
import json
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from service.decoding.field_mapping import FieldMapping
from service.entities.dead_letter import Violation
from service.entities.dead_letter_headers import Headers
from service.entities.message_format import FormatChoice, MessageFormat
from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected
from service.handler.kafka.consumer.formats.cloudevents import is_cloudevent
from service.handler.kafka.registry.frame import SchemaKey
from service.handler.kafka.registry.reader import SchemaReader
from tests.kit.decoding import encoded, message_decoder
from tests.kit.factories import SAMPLE, order_document

DOCUMENT = encoded(SAMPLE)
TEXT = DOCUMENT.decode()
CE = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order"}
CE_HEADERS: Headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/shop"), ("ce_type", b"order")]
GUID: Headers = [("__value_schema_id", b"\x01" + bytes(16))]
STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
SCHEMA = {"type": "struct", "fields": []}


def compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def wrapped(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def record(value: bytes | None, headers: Headers | None = None) -> Record:
    return Record("orders", 0, 0, 0, b"key", value, headers)


def decode(value: bytes | None, headers: Headers | None = None, choice: FormatChoice = "auto") -> Order | None:
    decoded = message_decoder(choice).decode(record(value, headers))
    return decoded[0] if decoded else None


def detail(value: bytes, headers: Headers | None = None, choice: FormatChoice = "auto") -> str:
    with pytest.raises(DocumentRejected) as rejected:
        decode(value, headers, choice)
    return str(rejected.value)


MESSAGES: list[tuple[str, bytes, Headers | None, MessageFormat]] = [
    ("plain JSON", DOCUMENT, None, MessageFormat.JSON),
    ("plain JSON with white space", b"\r\n " + DOCUMENT, None, MessageFormat.JSON),
    ("plain JSON with fields of envelopes", encoded(SAMPLE | {"op": "c", "after": {}, "payload": 1, "specversion": 1}),
     None, MessageFormat.JSON),
    ("plain JSON with other headers", DOCUMENT, [("content-type", b"application/json"), ("a", None)],
     MessageFormat.JSON),
    ("plain JSON with the GUID of a schema", DOCUMENT, GUID, MessageFormat.JSON),
    ("plain JSON with a GUID and an unknown field", encoded(SAMPLE | {"unknown": 1}), GUID, MessageFormat.JSON),
    ("plain JSON with a GUID and an unknown field in front", encoded({"unknown": 1} | SAMPLE), GUID,
     MessageFormat.JSON),
    ("a byte order mark", b"\xef\xbb\xbf" + DOCUMENT, None, MessageFormat.JSON),
    ("gzip", compressed(DOCUMENT), None, MessageFormat.JSON),
    ("gzip in two members", compressed(DOCUMENT[:9]) + compressed(DOCUMENT[9:]), None, MessageFormat.JSON),
    ("gzip of a byte order mark", compressed(b"\xef\xbb\xbf" + DOCUMENT), None, MessageFormat.JSON),
    ("a CloudEvent", wrapped(**CE, data=SAMPLE), None, MessageFormat.CLOUDEVENTS),
    ("a CloudEvent with its content type", wrapped(**CE, data=SAMPLE), STRUCTURED, MessageFormat.CLOUDEVENTS),
    ("a CloudEvent of JSON", wrapped(**CE, datacontenttype="application/vnd.order+json; v=1", data=SAMPLE), None,
     MessageFormat.CLOUDEVENTS),
    ("a CloudEvent in Base64", wrapped(**CE, data_base64=base64.b64encode(DOCUMENT).decode()), None,
     MessageFormat.CLOUDEVENTS),
    ("a CloudEvent in Base64 with null in the other field",
     wrapped(**CE, data=None, data_base64=base64.b64encode(DOCUMENT).decode()), None, MessageFormat.CLOUDEVENTS),
    ("a CloudEvent with null in Base64", wrapped(**CE, data=SAMPLE, data_base64=None), None, MessageFormat.CLOUDEVENTS),
    ("a CloudEvent with text", wrapped(**CE, data=TEXT), None, MessageFormat.CLOUDEVENTS),
    ("a binary CloudEvent", DOCUMENT, CE_HEADERS, MessageFormat.CLOUDEVENTS),
    ("a binary CloudEvent of JSON", DOCUMENT, [*CE_HEADERS, ("content-type", b"Application/JSON; charset=utf-8")],
     MessageFormat.CLOUDEVENTS),
    ("a created row", wrapped(before=None, after=SAMPLE, op="c", ts_ms=1), None, MessageFormat.DEBEZIUM),
    ("an updated row", wrapped(before=SAMPLE, after=SAMPLE, op="u"), None, MessageFormat.DEBEZIUM),
    ("a row of a snapshot", wrapped(after=SAMPLE, op="r"), None, MessageFormat.DEBEZIUM),
    ("a row with its schema", wrapped(schema=SCHEMA, payload={"after": SAMPLE, "op": "c"}), None,
     MessageFormat.DEBEZIUM),
    ("a row of an outbox", wrapped(after={"id": 1, "payload": TEXT}, op="c"), None, MessageFormat.DEBEZIUM),
    ("a row of an outbox with JSON", wrapped(after={"id": 1, "payload": SAMPLE}, op="c"), None, MessageFormat.DEBEZIUM),
    ("a flattened row of an outbox", wrapped(id=1, type="order", payload=TEXT), None, MessageFormat.DEBEZIUM),
    ("the outbox event router's text", encoded(TEXT), None, MessageFormat.DEBEZIUM),
    ("the outbox event router's text in gzip", compressed(encoded(" " + TEXT)), None, MessageFormat.DEBEZIUM),
    ("a Connect envelope", wrapped(schema=SCHEMA, payload=SAMPLE), None, MessageFormat.CONNECT),
    ("a Connect envelope without schema", wrapped(schema=None, payload=SAMPLE), None, MessageFormat.CONNECT),
    ("a Connect envelope of text", wrapped(schema={"type": "string"}, payload=TEXT), None, MessageFormat.CONNECT),
]  # fmt: skip
IDS = [row[0] for row in MESSAGES]


@pytest.mark.parametrize(("value", "headers", "expected"), [row[1:] for row in MESSAGES], ids=IDS)
def test_a_message_of_any_format_is_the_same_order(
    value: bytes, headers: Headers | None, expected: MessageFormat
) -> None:
    counted: list[MessageFormat] = []
    decoder = message_decoder(count={each: partial(counted.append, each) for each in MessageFormat})
    decoded = decoder.decode(record(value, headers))
    assert decoded is not None
    assert decoded[0] == decode(DOCUMENT)
    assert counted == [expected]
    assert decoder.read_uid(value, headers or []) == SAMPLE["order_uid"]


@pytest.mark.parametrize(("value", "headers", "expected"), [row[1:] for row in MESSAGES], ids=IDS)
def test_a_single_format_accepts_its_messages_and_names_all_others(
    value: bytes, headers: Headers | None, expected: MessageFormat
) -> None:
    assert decode(value, headers, expected.value) == decode(DOCUMENT)  # type: ignore[arg-type]
    other: FormatChoice = "connect" if expected != MessageFormat.CONNECT else "json"
    assert detail(value, headers, other) == (
        f"undecodable: {expected.description}: set ORDERS_DOCUMENT__FORMAT to auto or {expected}"
    )


@pytest.mark.parametrize(
    "value",
    [
        compressed(b""),
        compressed(b" null\n"),
        b"\xef\xbb\xbf",
        wrapped(before=SAMPLE, after=None, op="d"),
        wrapped(before=SAMPLE, op="d"),
        wrapped(op="t", before=None),
        wrapped(schema=SCHEMA, payload={"before": SAMPLE, "after": None, "op": "d"}),
        wrapped(schema=None, payload=None),
        wrapped(payload=None),
        wrapped(**CE, data=None),
        wrapped(**CE, data_base64=None),
        wrapped(**CE, data=None, data_base64=None),
    ],
)
def test_a_message_without_a_document_is_a_tombstone(value: bytes) -> None:
    assert message_decoder().decode(record(value)) is None


REJECTED: list[tuple[bytes, Headers | None, str]] = [
    (wrapped(**CE | {"specversion": "0.3"}, data=SAMPLE), None, "CloudEvents specversion is not supported: send 1.0"),
    (wrapped(**CE | {"specversion": 1.0}, data=SAMPLE), None, "CloudEvents specversion is not supported: send 1.0"),
    (DOCUMENT, STRUCTURED, "CloudEvents specversion is not supported: send 1.0"),
    (DOCUMENT, [("ce_specversion", b"2.0")], "CloudEvents specversion is not supported: send 1.0"),
    (DOCUMENT, [("ce_specversion", b"\xff")], "CloudEvents specversion is not supported: send 1.0"),
    (wrapped(**CE, datacontenttype="text/xml", data="<a/>"), None, "CloudEvents datacontenttype is not JSON"),
    (DOCUMENT, [*CE_HEADERS, ("content-type", b"application/avro")], "CloudEvents datacontenttype is not JSON"),
    (DOCUMENT, [*CE_HEADERS, ("content-type", b"\xff")], "CloudEvents datacontenttype is not JSON"),
    (wrapped(**CE), None, "CloudEvents event without data"),
    (wrapped(**CE, data_base64="{}"), None, "CloudEvents data_base64 is not Base64"),
    (wrapped(**CE, data_base64=7), None, "CloudEvents data_base64 is not Base64"),
    (b"[]", [("content-type", b"application/cloudevents-batch+json")],
     "CloudEvents are supported as application/cloudevents+json alone, one event per message"),
    (wrapped(op="m", after=SAMPLE), None, "Debezium change event with an unknown op"),
    (wrapped(op="c", before=SAMPLE, after=None), None, "Debezium change event without a row in after"),
    (wrapped(op="c", before=SAMPLE), None, "Debezium change event without a row in after"),
    (b"\x1f\x8b\x08", None, "incomplete gzip"),
    (b"\x1f\x8bmore", None, "malformed gzip"),
    (compressed(DOCUMENT)[:-9], None, "incomplete gzip"),
    (compressed(DOCUMENT) + b"x", None, "malformed gzip"),
    (compressed(DOCUMENT)[:-8] + bytes(8), None, "malformed gzip"),
    (b"\x28\xb5\x2f\xfd more", None,
     "zstd is not supported: send gzip, or set compression.type of the producer"),
    (b"\x04\x22\x4d\x18 more", None,
     "lz4 is not supported: send gzip, or set compression.type of the producer"),
    (TEXT.encode("utf-16"), None, "UTF-16 is not supported: send UTF-8"),
    (TEXT.encode("utf-16-le"), None, "UTF-16 is not supported: send UTF-8"),
    (TEXT.encode("utf-16-be"), None, "UTF-16 is not supported: send UTF-8"),
    (TEXT.encode("utf-32"), None, "UTF-32 is not supported: send UTF-8"),
    (TEXT.encode("utf-32-le"), None, "UTF-32 is not supported: send UTF-8"),
    (TEXT.encode("utf-32-be"), None, "UTF-32 is not supported: send UTF-8"),
    (b"\xfe\xff" + TEXT.encode("utf-16-be"), None, "UTF-16 is not supported: send UTF-8"),
    (b"\0\0\0\0\x11" + DOCUMENT, None, "Confluent wire format, schema id 17: set ORDERS_REGISTRY__URLS"),
    (b"\x0eorder-1", GUID,
     "Confluent wire format, schema GUID 00000000-0000-0000-0000-000000000000: set ORDERS_REGISTRY__URLS"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "headers", "problem"), REJECTED)
def test_a_message_that_a_format_does_not_allow_is_rejected_with_the_reason(
    value: bytes, headers: Headers | None, problem: str
) -> None:
    assert detail(value, headers) == f"undecodable: {problem}"
    assert message_decoder().read_uid(value, headers or []) is None


FRAME = b"\0\0\0\0\x11"


class Schemas:
    """Registered schemas that all read a frame with `read`; records which are requested."""

    def __init__(self, read: SchemaReader) -> None:
        self.requested: list[SchemaKey] = []
        self._read = read

    def reader(self, key: SchemaKey) -> SchemaReader:
        self.requested.append(key)
        return self._read


@pytest.mark.parametrize(
    ("headers", "value", "key"),
    [(None, FRAME + b"order", 17), (GUID, b"order", UUID(int=0)), (GUID, FRAME + b"order", UUID(int=0))],
)
@pytest.mark.parametrize(("read", "text"), [(lambda _: DOCUMENT, DOCUMENT), (lambda _: json.loads(DOCUMENT), None)])
def test_a_frame_is_read_once_with_the_schema_that_it_names(
    headers: Headers | None, value: bytes, key: SchemaKey, read: SchemaReader, text: bytes | None
) -> None:
    schemas: Any = Schemas(read)
    assert message_decoder(schemas=schemas).decode(record(value, headers)) == (decode(DOCUMENT), text)
    assert schemas.requested == [key]


@pytest.mark.parametrize(("headers", "value"), [(None, FRAME + b"order"), (GUID, b"order")])
def test_a_frame_with_a_registered_schema_is_rejected_if_only_json_is_accepted(
    headers: Headers | None, value: bytes
) -> None:
    schemas: Any = Schemas(lambda _: DOCUMENT)
    with pytest.raises(DocumentRejected, match=r"set ORDERS_DOCUMENT__FORMAT to auto or confluent$"):
        message_decoder("json", schemas=schemas).decode(record(value, headers))


def test_a_document_with_unknown_fields_in_a_frame_is_the_same_order() -> None:
    document = encoded(SAMPLE | {"unknown": 1})
    schemas: Any = Schemas(lambda _: document)
    assert message_decoder(schemas=schemas).decode(record(FRAME)) == (decode(DOCUMENT), document)


@pytest.mark.parametrize("value", [wrapped(op="c"), wrapped(after=SAMPLE), wrapped(before=SAMPLE), b'"text"'])
def test_json_with_only_some_fields_of_a_change_event_is_none(value: bytes) -> None:
    assert "Debezium" not in detail(value)


def test_a_confluent_message_without_its_format_names_schema_and_setting() -> None:
    expected = "undecodable: Confluent wire format, schema id 17: set ORDERS_DOCUMENT__FORMAT to auto or confluent"
    assert detail(b"\0\0\0\0\x11" + DOCUMENT, choice="json") == expected


@pytest.mark.parametrize(
    "value", [b"\0\0\0\1", b"\0null", b'"text"', b'{"specversion":', b'{"payload":' + b"[" * 10**5]
)
def test_other_bytes_are_rejected_without_a_crash(value: bytes) -> None:
    assert detail(value)


def test_the_guid_of_a_schema_decides_if_only_frames_are_accepted() -> None:
    assert detail(DOCUMENT, GUID, "confluent").endswith("set ORDERS_REGISTRY__URLS")


@pytest.mark.parametrize(
    ("value", "headers"),
    [(wrapped(**CE, data=order_document(sm_id=-1)), None), (encoded(order_document(sm_id=-1)), CE_HEADERS)],
)
def test_a_violation_in_an_envelope_names_format_and_field(value: bytes, headers: Headers | None) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        decode(value, headers)
    assert rejected.value.violations == (Violation("", "CloudEvents"), Violation("sm_id", "Expected int >= 0"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([("content-type", b"application/json"), ("a", None)], False),
        ([("content-type", None)], False),
        ([("a", b"application/cloudevents+json")], False),
        ([("a", b"1"), ("ce_specversion", b"1.0")], True),
        ([("a", b"1"), ("content-type", b"application/cloudevents+json")], True),
    ],
)
def test_the_headers_say_whether_a_message_is_a_cloudevent(headers: Headers, *, expected: bool) -> None:
    assert is_cloudevent(headers) == expected


def test_decompressed_size_is_limited() -> None:
    bomb = compressed(b" " * 2**26)
    assert len(bomb) < 2**17
    assert detail(bomb) == f"too-large: larger than {2**20} bytes when decompressed"
    with pytest.raises(DocumentRejected) as rejected:
        decode(compressed(b" ") * 40 + bomb)
    assert rejected.value.violations == (Violation("", f"larger than {2**20} bytes when decompressed"),)


def test_the_members_of_gzip_are_limited() -> None:
    assert decode(compressed(b"") * 63 + compressed(DOCUMENT)) == decode(DOCUMENT)
    assert detail(compressed(b"") * 64 + compressed(DOCUMENT)) == "undecodable: malformed gzip"


@pytest.mark.parametrize("value", [wrapped(**CE, data="x" * 2**20), encoded("{" + "x" * 2**20)])
def test_an_envelope_is_limited_in_size(value: bytes) -> None:
    assert detail(value).startswith("too-large: larger than")


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        (wrapped(**CE, data=order_document(entry="a\tb")), rb"\t"),
        (wrapped(**CE, data_base64=base64.b64encode(encoded(order_document(entry="a\tb"))).decode()), rb"\t"),
        (compressed(encoded(order_document(entry="a\tb"))), rb"\t"),
    ],
)
def test_the_json_text_of_an_order_is_that_of_its_document(value: bytes, escaped: bytes) -> None:
    """The store relies on it: it looks for escapes there."""
    decoded = message_decoder().decode(record(value))
    assert decoded is not None
    assert decoded[1] is not None
    assert escaped in decoded[1]


@pytest.mark.parametrize(("defaults", "has_json"), [({}, True), ({"locale": "a\t"}, False)])
@pytest.mark.parametrize("value", [encoded(SAMPLE | {"extra": 1}), b" " + encoded(SAMPLE | {"extra": 1})])
def test_an_order_with_unknown_fields_has_its_json_text_unless_fields_have_defaults(
    value: bytes,
    defaults: dict[str, str],
    has_json: bool,  # noqa: FBT001
) -> None:
    decoded = message_decoder(mapping=FieldMapping(defaults=defaults)).decode(record(value))
    assert decoded is not None
    assert decoded[1] == (value if has_json else None)
