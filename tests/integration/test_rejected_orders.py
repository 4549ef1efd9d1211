"""Orders that PostgreSQL rejects, and the circuit breaker."""

import re

from service.entities.dead_letter_headers import Header
from tests.kit.bad_messages import ITEM, MARK, dlq_headers, document, good_orders, original_offset, uids
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, metric, orders
from tests.kit.waiting import eventually

FLOOD = 2_500
"""More than the 1,000 consecutive messages that open the circuit breaker."""


# Orders that PostgreSQL rejects

REJECT_SOME = """
    ALTER TABLE orders ADD CONSTRAINT no_poison CHECK (left(order_uid, 6) <> 'poison');
    ALTER TABLE items ALTER COLUMN brand TYPE varchar(20);
    ALTER TABLE payments ALTER COLUMN request_id SET NOT NULL;
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING MESSAGE = NEW.city; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW WHEN (NEW.city = 'Zzyzx') EXECUTE FUNCTION reject();
"""
REJECT_ALL = """
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION reject();
"""
REJECTED = "PostgreSQL rejected the data (SQLSTATE {}) at {}"


def poison(count: int) -> list[Sent]:
    return orders([order_document(order_uid=f"poison-{number}") for number in range(count)])


def test_the_detail_of_a_rejected_order_contains_no_value(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    no_request = order_document()
    del no_request["payment"]["request_id"]
    rejected = [
        *poison(1),
        *orders([order_document(items=[ITEM | {"brand": MARK * 5}])]),
        *orders([no_request]),
        *orders([order_document(delivery={"city": MARK})]),
    ]
    service = harness.consumer()
    for number, message in enumerate(rejected, start=1):
        harness.produce(message)
        harness.wait_committed({0: number})
    dead_letters = sorted(harness.dead_letters(), key=original_offset)
    assert [(dead_letter.value(), dead_letter.key()) for dead_letter in dead_letters] == [
        (each.value, each.key) for each in rejected
    ]
    assert {dlq_headers(dead_letter)[Header.REASON] for dead_letter in dead_letters} == {"rejected"}
    assert [dlq_headers(dead_letter)[Header.DETAIL] for dead_letter in dead_letters] == [
        REJECTED.format("23514", "orders no_poison"),
        REJECTED.format("22001", "items.brand"),
        REJECTED.format("23502", "payments.request_id"),
        REJECTED.format("P0001", "deliveries"),
    ]
    assert harness.stored() == set()
    assert not re.search(f"{MARK}|poison-", service.log.read_text())


def test_of_2000_orders_only_the_50_rejected_by_postgresql_are_dead_lettered(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    good, bad = good_orders(1_950), poison(50)
    scattered = [message for number, each in enumerate(bad) for message in (*good[number::50], each)]
    harness.produce(*scattered)
    service = harness.consumer()
    harness.wait_committed({0: 2_000})
    dead_letters = harness.dead_letters()
    assert harness.stored() == uids(good)
    assert sorted(dead_letter.key() or b"" for dead_letter in dead_letters) == sorted(each.key or b"" for each in bad)
    assert {dlq_headers(dead_letter)[Header.DETAIL] for dead_letter in dead_letters} == {
        REJECTED.format("23514", "orders no_poison")
    }
    assert metric(service, "orders_dead_letters_total", reason="rejected") == 50
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_while_postgresql_rejects_every_order_the_circuit_breaker_is_open(
    harness: Harness,
) -> None:
    harness.query("ALTER TABLE orders ADD CONSTRAINT reject_all CHECK (false)")
    good = good_orders(30)
    harness.produce(*good)
    service = harness.consumer(ORDERS_CIRCUIT_BREAKER__MIN_REJECTED="1", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    eventually(lambda: len(service.logged("the circuit breaker is open")) > 2, what="a second probe")
    assert "the database rejected the last" in service.logged("the circuit breaker is open")[0]["problem"]
    assert "constraint" in service.logged("the circuit breaker is open")[0]["hint"]
    assert metric(service, "orders_circuit_breaker_open") == 1
    assert harness.committed() == {}
    harness.query("ALTER TABLE orders DROP CONSTRAINT reject_all")
    harness.wait_committed({0: 30})
    assert harness.stored() == uids(good)
    assert harness.dead_letters() == []
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_small_batches_rejected_by_a_trigger_wait_and_are_stored_once_it_is_dropped(harness: Harness) -> None:
    """The batches are much smaller than the number of rejections that opens the circuit breaker."""
    harness.query(REJECT_ALL)
    good = good_orders(60)
    service = harness.consumer(ORDERS_BATCH__MAX_MESSAGES="3", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    harness.produce(*good)
    eventually(lambda: len(service.logged("the circuit breaker is open")) > 2, what="a second probe")
    first_waiting = harness.committed().get(0, 0)
    assert first_waiting == len(harness.dead_letters()) < 10
    harness.query("DROP TRIGGER reject ON deliveries")
    harness.wait_committed({0: 60})
    assert harness.stored() == uids(good[first_waiting:])
    assert len(harness.dead_letters()) == first_waiting
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_orders_behind_permanently_rejected_orders_are_stored(
    harness: Harness,
) -> None:
    """Rejected orders alone open the circuit breaker; each probe continues after the last one and skips nothing."""
    harness.query(REJECT_SOME)
    bad = poison(75)
    harness.produce(*bad[:40])
    harness.produce(*[each._replace(partition=1) for each in bad[40:]])
    service = harness.consumer(ORDERS_CIRCUIT_BREAKER__MIN_REJECTED="1", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms")
    eventually(
        lambda: len(service.logged("the circuit breaker is open")) > 5,
        what="probes reach the end and start over",
    )
    assert (harness.committed(), harness.dead_letters()) == ({}, [])
    good = good_orders(500)
    invalid = [Sent(b"hello", b"key")] * 3
    harness.produce(*invalid, *good)
    harness.wait_committed({0: 543, 1: 35})
    assert harness.stored() == uids(good)
    dead_letters = harness.dead_letters()
    assert sorted(dead_letter.key() or b"" for dead_letter in dead_letters) == sorted(
        each.key or b"" for each in [*bad, *invalid]
    )
    assert metric(service, "orders_stored_total") == len(good)
    assert metric(service, "orders_circuit_breaker_open") == 0


def test_a_member_stopped_with_an_open_circuit_breaker_leaves_the_orders_to_the_next(harness: Harness) -> None:
    harness.query(REJECT_SOME)
    bad, good = poison(30), good_orders(30)
    harness.produce(*bad)
    fast_probes = {"ORDERS_CIRCUIT_BREAKER__MIN_REJECTED": "1", "ORDERS_CIRCUIT_BREAKER__RETRY_AFTER": "200ms"}
    first = harness.consumer(**fast_probes)
    eventually(lambda: len(first.logged("the circuit breaker is open")) > 2, what="a second probe")
    assert first.stop() == 0
    assert harness.committed() == {}
    harness.produce(*good)
    harness.consumer(**fast_probes)
    harness.wait_committed({0: 60})
    assert harness.stored() == uids(good)
    assert sorted(map(original_offset, harness.dead_letters())) == list(range(30))


# The circuit breaker


def test_the_circuit_breaker_keeps_most_of_a_flood_out_of_the_dead_letter_topic(harness: Harness) -> None:
    good = good_orders(10)
    service = harness.consumer()
    harness.produce(*good)
    harness.wait_committed({0: 10})
    harness.produce(*[Sent(document(sm_id=-1))] * FLOOD)
    eventually(lambda: metric(service, "orders_circuit_breaker_open") == 1, what="the circuit breaker opens")
    (event,) = service.logged("the circuit breaker is open")
    assert re.fullmatch("1000 consecutive messages are bad|.* of the last 1000 messages are bad", event["problem"])
    assert "ORDERS_CIRCUIT_BREAKER__ENABLED=false" in event["hint"]
    assert service.stop() == 0
    before = len(harness.dead_letters())
    assert before < 1_000
    assert harness.committed() == {0: 10 + before}
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_committed({0: 10 + FLOOD})
    assert sorted(map(original_offset, harness.dead_letters())) == list(range(10, 10 + FLOOD))
    assert harness.stored() == uids(good)


def test_the_circuit_breaker_probes_ten_messages_at_a_time_and_closes_after_the_flood(
    harness: Harness,
) -> None:
    bad = [Sent(document(sm_id=-1))] * 34
    messages = [*bad[:29], *good_orders(1), *bad[29:], *good_orders(100)]
    harness.produce(*messages)
    service = harness.consumer(
        ORDERS_CIRCUIT_BREAKER__MAX_CONSECUTIVE="20", ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="200ms"
    )
    harness.wait_committed({0: len(messages)})
    assert harness.stored() == uids(messages)
    assert sorted(map(original_offset, harness.dead_letters())) == [*range(29), *range(30, 35)]
    assert metric(service, "orders_circuit_breaker_open") == 0
    assert (
        1 < len(service.logged("the circuit breaker is open")) <= 4
    )  # once at first, then after each probe with mostly bad messages
