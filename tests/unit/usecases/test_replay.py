"""Which dead letters a replay sends, and which it refuses."""

from datetime import UTC, datetime
from gzip import compress

import pytest
from msgspec.json import encode

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.entities.subscription import Subscription
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import EditedValue, ReplayRefusal
from service.usecases.replay import ReplayPlan, take_chunk

HEADERS: dict[str, bytes] = {
    Header.REASON: b"invalid", Header.TOPIC: b"orders", Header.PARTITION: b"2", Header.OFFSET: b"101",
    Header.TIMESTAMP: b"1700000000000", Header.REPLAYS: b"2",
}  # fmt: skip


ORDERS = Subscription(("orders",))


def dead_letter(headers: dict[str, bytes] = HEADERS, offset: int = 7) -> DeadLetterRecord:
    return DeadLetterRecord(0, offset, 1_000, b"key", b"value", list(headers.items()))


def test_each_selection_has_a_group_of_its_own_and_limits_do_not_change_it() -> None:
    plain = ReplayPlan(ORDERS, DeadLetterFilters())
    same = ReplayPlan(ORDERS, DeadLetterFilters(), limit=5, rate=3)
    time = datetime.fromtimestamp(1, UTC)
    filters = [
        DeadLetterFilters(frozenset({"invalid"})),
        DeadLetterFilters(since=time),
        DeadLetterFilters(until=time),
        DeadLetterFilters(order="a"),
        DeadLetterFilters(text="a"),
    ]
    others = [
        ReplayPlan(Subscription(("other",)), DeadLetterFilters()),
        ReplayPlan(ORDERS, DeadLetterFilters(), max_replays=9),
        *(ReplayPlan(ORDERS, each) for each in filters),
    ]
    assert plain.group("orders") == same.group("orders")
    assert len({plan.group("orders") for plan in [plain, *others]}) == 1 + len(others)
    assert plain.group("orders").startswith("orders.dlq-replay.")


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        (HEADERS, None),
        (HEADERS | {Header.STUB: b"true"}, ReplayRefusal.STUB),
        ({Header.REASON: b"invalid"}, ReplayRefusal.NO_ORIGIN),
        (HEADERS | {Header.TOPIC: b"payroll"}, ReplayRefusal.OTHER_TOPIC),
        (HEADERS | {Header.REPLAYS: b"3"}, ReplayRefusal.REPLAYED_TOO_OFTEN),
    ],
)
def test_a_dead_letter_is_refused_for_a_reason(headers: dict[str, bytes], refusal: ReplayRefusal | None) -> None:
    plan = ReplayPlan(ORDERS, DeadLetterFilters(), max_replays=3)
    assert plan.refusal(dead_letter(headers)) == refusal
    assert plan.examine(dead_letter(headers)).is_sent is (refusal is None)


@pytest.mark.parametrize(
    ("subscription", "sent"),
    [
        (Subscription(("orders", "returns")), ["orders", "returns"]),
        (Subscription((), "^(orders|returns)", "orders.dlq"), ["orders", "orders.eu", "returns"]),
    ],
    ids=str,
)
def test_dead_letters_of_all_topics_that_the_group_reads_are_sent(subscription: Subscription, sent: list[str]) -> None:
    plan = ReplayPlan(subscription, DeadLetterFilters())
    origins = ["orders", "orders.dlq", "orders.eu", "payroll", "returns"]
    refusals = {each: plan.refusal(dead_letter(HEADERS | {Header.TOPIC: each.encode()})) for each in origins}
    assert [each for each, refusal in refusals.items() if refusal is None] == sent
    assert {*refusals.values()} == {None, ReplayRefusal.OTHER_TOPIC}


@pytest.mark.parametrize(
    ("value", "order_uid", "refusal"),
    [
        (b'{"order_uid": "a"}', "a", None),
        (b'{"order_uid": "a"}', "b", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "a", "key": "key"}', "key", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "not valid"}', "b", None),
        (b'{"order_uid": "key"', "key", None),
        (b'{"order_uid": "key"', "b", ReplayRefusal.OTHER_ORDER),
        (b'{"order_uid": "cut off', "b", None),
        (b'{"order_uid": "cut off\x01', "b", None),
        (b"no JSON", "b", None),
    ],
)
def test_an_edited_value_must_be_of_the_same_order_where_that_is_known(
    value: bytes, order_uid: str, refusal: ReplayRefusal | None
) -> None:
    plan = ReplayPlan(ORDERS, DeadLetterFilters(), edited=EditedValue(b"edited", order_uid))
    original = dead_letter()._replace(value=value)
    assert plan.refusal(original) == refusal
    assert plan.edit(original) == original._replace(value=b"edited")


@pytest.mark.parametrize("order_uid", ["a", "b"])
@pytest.mark.parametrize(
    "value",
    {
        "gzip": compress(b'{"order_uid": "a"}'),
        "gzip in two members": compress(b'{"order_uid":') + compress(b'"a"}'),
        "gzip that was cut": compress(b'{"order_uid": "a", "entry": "WBIL"}')[:-9],
        "a byte order mark": b'\xef\xbb\xbf{"order\\u005fuid": "a"}',
        "a text in a string": encode('{"order_uid": "a"}'),
        "the row of an outbox": encode({"after": {"id": "b", "payload": '{"order_uid": "a"}'}, "op": "c"}),
        "a row that was cut": encode({"after": {"id": "b", "payload": '{"order_uid": "a"}'}})[:-1],
        "a text that was cut": encode({"after": {"id": "b", "payload": '{"order_uid": "a"'}}),
        "Debezium with a schema": encode({"schema": {}, "payload": {"before": None, "after": {"order_uid": "a"}}}),
        "Connect": encode({"schema": {"order_uid": "b"}, "payload": {"order_uid": "a"}}),
        "CloudEvents": encode({"specversion": "1.0", "id": "b", "data": {"order_uid": "a"}}),
        "CloudEvents with escapes": rb'{"specversion": "1.0", "data": {"order\u005fuid": "\u0061"}}',
        "CloudEvents in Base64": encode({"specversion": "1.0", "data_base64": b'{"order\\u005fuid": "a"}'}),
        "CloudEvents in Base64 that was cut": encode({"data_base64": b'{"order_uid": "a"}'})[:-1],
        "JSON in Confluent's frame": b'\0\0\0\0\7{"order_uid": "a", "entry": "b"}',
        "JSON that was cut": b'{"order_uid": "a", "entry": "\x01',
        "JSON whose text resembles another order": b'{"order_uid": "a", "entry": "\\"order_uid\\":\\"b\\"" cut',
        "many envelopes": b'{"after": ' * 500 + b'{"order_uid": "a"}' + b"}" * 500,
        "the last one of two fields": b'{"order_uid": "b", "order_uid": "a", cut',
    }.items(),
    ids=lambda value: value[0],
)
def test_the_order_of_the_original_is_known_in_every_text_format(value: tuple[str, bytes], order_uid: str) -> None:
    plan = ReplayPlan(ORDERS, DeadLetterFilters(), edited=EditedValue(b"edited", order_uid))
    expected = None if order_uid == "a" else ReplayRefusal.OTHER_ORDER
    assert plan.refusal(dead_letter()._replace(key=None, value=value[1])) == expected


AVRO = b"\0\0\0\0\7\x06key\x08WBIL"


@pytest.mark.parametrize(
    ("key", "value", "order_uid", "refusal"),
    [
        (b"key", AVRO, "key", None),
        (b"key", compress(AVRO, mtime=0), "key", None),
        (b"key", AVRO, "WBIL", ReplayRefusal.OTHER_ORDER),
        (None, AVRO, "key", ReplayRefusal.UNREADABLE_ORDER),
        (b"other", AVRO, "other", ReplayRefusal.UNREADABLE_ORDER),
        (b"", AVRO, "key", ReplayRefusal.UNREADABLE_ORDER),
        (None, b"\x1f\x8b\x08malformed", "key", ReplayRefusal.UNREADABLE_ORDER),
        (None, '{"order_uid": "key"}'.encode("utf-16"), "key", ReplayRefusal.UNREADABLE_ORDER),
        (None, '{"order_uid": "key"}'.encode("utf-16-le"), "key", ReplayRefusal.UNREADABLE_ORDER),
    ],
)
def test_an_edited_value_of_a_binary_one_must_have_the_key_that_it_contains(
    key: bytes | None, value: bytes, order_uid: str, refusal: ReplayRefusal | None
) -> None:
    plan = ReplayPlan(ORDERS, DeadLetterFilters(), edited=EditedValue(b"edited", order_uid))
    assert plan.refusal(dead_letter()._replace(key=key, value=value)) == refusal


@pytest.mark.parametrize(
    ("key", "order_uid", "refusal"),
    [
        (b"a", "a", None),
        (b"a", "key", ReplayRefusal.OTHER_ORDER),
        (b"not valid", "a", ReplayRefusal.UNREADABLE_ORDER),
    ],
)
def test_an_edited_value_must_be_of_the_order_that_the_consumer_reads_if_it_is_valid(
    key: bytes, order_uid: str, refusal: ReplayRefusal | None
) -> None:
    edited = EditedValue(b"edited", order_uid)
    plan = ReplayPlan(ORDERS, DeadLetterFilters(), read_uid=lambda each: (each.key or b"").decode(), edited=edited)
    assert plan.refusal(dead_letter()._replace(key=key, value=AVRO)) == refusal


def test_a_dead_letter_that_does_not_match_is_not_sent() -> None:
    assert not ReplayPlan(ORDERS, DeadLetterFilters(frozenset({"rejected"}))).examine(dead_letter()).is_sent


def test_a_dead_letter_that_does_not_match_is_not_refused_either() -> None:
    stub = dead_letter(HEADERS | {Header.STUB: b"true"})
    assert ReplayPlan(ORDERS, DeadLetterFilters(frozenset({"rejected"}))).examine(stub).refusal is None


def test_a_limit_counts_only_dead_letters_that_are_sent() -> None:
    stub = dead_letter(HEADERS | {Header.STUB: b"true"}, 0)
    found = [stub, *(dead_letter(offset=offset) for offset in range(1, 5))]
    limited = ReplayPlan(ORDERS, DeadLetterFilters(), limit=2).examine_all(found)
    assert [each.dead_letter.offset for each in limited] == [0, 1, 2]
    assert [each.dead_letter for each in ReplayPlan(ORDERS, DeadLetterFilters()).examine_all(found)] == found


def dead_letters(count: int, size: int) -> list[DeadLetterRecord]:
    value = bytes(size)
    return [DeadLetterRecord(0, number, -1, b"key", value, []) for number in range(count)]


def test_a_chunk_ends_at_its_number_of_dead_letters() -> None:
    found = ReplayPlan(ORDERS, DeadLetterFilters()).examine_all(dead_letters(5, 10))
    chunks = [take_chunk(found, 2, 1_000) for _ in range(4)]
    assert [[each.dead_letter.offset for each in chunk] for chunk in chunks] == [[0, 1], [2, 3], [4], []]


@pytest.mark.parametrize(("max_bytes", "chunks"), [(20, [2, 2, 1, 0]), (21, [3, 2, 0, 0])])
def test_a_chunk_ends_when_its_values_reach_the_maximum(max_bytes: int, chunks: list[int]) -> None:
    found = ReplayPlan(ORDERS, DeadLetterFilters()).examine_all(dead_letters(5, 10))
    assert [len(take_chunk(found, 500, max_bytes)) for _ in range(4)] == chunks
