"""Any bytes decode quickly to an order or to violations that contain no values."""

import re
from datetime import UTC, datetime
from itertools import count
from time import thread_time

import msgspec
import psycopg
from hypothesis import example, given
from hypothesis import strategies as st

from service.decoding.decoder import Decoder
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Header, read_origin, read_replays, without_dlq_headers
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import DocumentRejected
from service.repo.notifications import parse
from service.repo.reader.statements import DOCUMENTS_OF, document_values
from service.repo.writer.rows import CopyRows, copy_rows
from tests.fuzz.mutants import messages, notifications, order_texts
from tests.fuzz.profile import fuzzed, fuzzed_briefly
from tests.kit.factories import order_document
from tests.kit.policies import decoding_rules
from tests.kit.stores import store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAX_CPU_SECONDS = 1.0
"""Limit for decoding one message."""
COORDINATES = RecordCoordinates(1_000, 2, 3, "orders")
PATH = re.compile(r"([a-z_]+(\[\d{1,3}\])?(\.[a-z_]+)?)?")
RULE = re.compile(
    r"Expected (int|str|array|object|datetime|bool|null|float)( \| null)?( (<=|>=|<|>) [\d*]+( and (<=|>=) \d+)?)?"
    r"( of length (<=|>=|==)? ?\d+)?( matching regex '\^[^']{5,60}')?(, got (int|str|array|object|null|bool|float))?"
    r"|Expected datetime with a timezone component|Invalid RFC3339 encoded datetime|Integer value out of range"
    r"|malformed JSON|not UTF-8|nested too deeply|a number is out of range|contains a NUL character|is missing"
    r"|is in the future|is before year 1"
)
"""All permitted texts of a violation."""

decoder = Decoder(
    decoding_rules(), on_unknown=lambda _: None, on_mismatch=lambda _: None, on_coerced=lambda _: None, now=lambda: NOW
)


def decode(value: bytes) -> Order | DocumentRejected:
    try:
        return decoder.decode(value)
    except DocumentRejected as error:
        return error


@fuzzed
@given(messages)
def test_a_message_is_an_order_or_has_violations_without_values(value: bytes) -> None:
    began = thread_time()
    result = decode(value)
    assert thread_time() - began < MAX_CPU_SECONDS
    if isinstance(result, DocumentRejected):
        assert result.reason in {Reason.INVALID, Reason.UNDECODABLE}
        assert 1 <= len(result.violations) <= 20
        for path, rule in result.violations:
            assert PATH.fullmatch(path), path
            assert RULE.fullmatch(rule), rule


@fuzzed
@given(messages)
def test_an_accepted_order_is_accepted_again_as_served(value: bytes) -> None:
    order = decode(value)
    if isinstance(order, Order):
        assert decode(msgspec.json.encode(order)) == order


@fuzzed
@given(messages)
@example(msgspec.json.encode(order_document(locale="a\r", entry="\n", customer_id="\t\\N", delivery={"name": "\\."})))
def test_the_rows_of_an_order_have_its_values(value: bytes) -> None:
    order = decode(value)
    if isinstance(order, Order):
        copied = copy_rows(order, COORDINATES, is_plain_text=b"\\" not in value)
        assert copied == copy_rows(order, COORDINATES)
        assert texts_in(copied) == texts_of(order)


def texts_in(copied: CopyRows) -> list[str | None]:
    """Return the columns of the order's own fields as PostgreSQL reads them."""
    (head,), (delivery,), (payment,), items = map(rows, copied)
    fields = [head[:-4], delivery, payment, *(item[1:] for item in items)]
    return [each for row in fields for each in row]


def rows(lines: tuple[str, ...]) -> list[list[str | None]]:
    text = "".join(lines)
    assert text.endswith("\n")
    assert "\r" not in text  # PostgreSQL rejects it
    return [[unescaped(column) for column in line.split("\t")] for line in text[:-1].split("\n")]


def unescaped(column: str) -> str | None:
    known = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    return None if column == r"\N" else re.sub(r"\\(.)", lambda match: known[match[1]], column, flags=re.DOTALL)


def texts_of(order: Order) -> list[str | None]:
    own = [name for name in order.__struct_fields__ if name not in {"delivery", "payment", "items"}]
    parts = [(order, own), *((part, part.__struct_fields__) for part in (order.delivery, order.payment, *order.items))]
    found = [getattr(part, name) for part, names in parts for name in names]
    return [None if value is None else str(value) for value in found]


@fuzzed_briefly
@given(values=st.lists(order_texts(), min_size=1, max_size=20))
def test_postgresql_returns_the_stored_orders(database: str, values: list[bytes]) -> None:
    orders = {order.order_uid: order for order in map(decode, values) if isinstance(order, Order)}
    coordinates = (RecordCoordinates(timestamp, 0, 0, "orders") for timestamp in TIMESTAMPS)
    store(database, *map(VersionedOrder, orders.values(), coordinates))
    with psycopg.connect(database) as connection:
        found = connection.execute(DOCUMENTS_OF.encode(), document_values([*orders])).fetchall()
    assert {uid: msgspec.json.decode(document, type=Order) for uid, document in found} == orders


TIMESTAMPS = count(1)
"""Timestamps of records; each is newer than the one before."""


# Headers and notifications

NAMES = [getattr(Header, key) for key in Header.__annotations__]
names = st.sampled_from(NAMES) | st.text(max_size=20) | st.just("dlq-")
contents = st.none() | st.binary(max_size=300) | st.integers().map(lambda number: str(number).encode())
digits = st.from_regex(rb"[0-9]{1,25}", fullmatch=True)
origins = st.tuples(
    st.tuples(st.just(Header.TOPIC), st.sampled_from([b"orders", b"\xff", b"a b"])),
    *(st.tuples(st.just(name), digits) for name in (Header.PARTITION, Header.OFFSET, Header.TIMESTAMP, Header.REPLAYS)),
).map(list)
headers = st.lists(st.tuples(names, contents), max_size=30) | origins


@fuzzed
@given(headers)
@example([(Header.TOPIC, b"t"), (Header.PARTITION, b"0"), (Header.OFFSET, b"9" * 18), (Header.TIMESTAMP, b"0")])
def test_headers_give_a_valid_origin_or_none(given_headers: list[tuple[str, bytes | None]]) -> None:
    origin = read_origin(given_headers)
    if origin is not None:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,249}", origin.topic)
        assert 0 <= origin.partition < 2**31
        assert 0 <= min(origin.offset, origin.timestamp_ms) <= max(origin.offset, origin.timestamp_ms) < 2**63
        RecordCoordinates.of(*origin)
    assert 0 <= read_replays(given_headers) < 2**63


@fuzzed
@given(headers)
@example([(Header.REPLAYS, b"3"), (Header.REPLAYS, None), (Header.REASON, None), (Header.REASON, b"invalid")])
def test_an_excerpt_of_headers_gives_the_same_dead_letter(given_headers: list[tuple[str, bytes | None]]) -> None:
    whole = DeadLetterRecord(0, 0, 0, None, None, given_headers)
    shown = whole.excerpt(10).dead_letter
    assert (shown.reason, shown.replays, shown.is_stub, shown.origin) == (
        (whole.reason, whole.replays, whole.is_stub, whole.origin)
    )
    assert len(shown.headers) <= 2 * len(NAMES)
    assert all(not name.startswith("dlq-") for name, _ in without_dlq_headers(given_headers))


@fuzzed
@given(notifications)
def test_a_notification_has_valid_uids_or_is_ignored(payload: bytes) -> None:
    notification = parse(payload.decode(errors="replace"))
    if notification is not None:
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", uid) for uid in notification.new + notification.changed)
