"""An internal error of PostgreSQL is an outage, but the log names the order that causes it."""

from tests.kit.factories import order_document
from tests.kit.harness import Harness, orders
from tests.kit.waiting import eventually

FAULTY = "order-33"
FAIL = f"""
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.order_uid = '{FAULTY}' THEN
        RAISE 'could not write to the shard of Zzyzx' USING ERRCODE = 'XX000';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fail()"""

RETRIED = "storing failed and will be retried"
FOUND = "PostgreSQL fails with an internal error on one order"


def test_the_log_names_the_order_that_causes_an_internal_error(harness: Harness) -> None:
    harness.query(FAIL)
    uids = {f"order-{number}" for number in range(100)}
    harness.produce(*orders([order_document(order_uid=uid) for uid in sorted(uids)]))
    offset = sorted(uids).index(FAULTY)
    consumer = harness.consumer(ORDERS_RETRY__MAX_BACKOFF="0.1")
    eventually(lambda: len(consumer.logged(RETRIED)) > 5, what="the batch is retried")
    (found,) = consumer.logged(FOUND)
    assert (found["order_uid"], found["partition"], found["offset"]) == (FAULTY, 0, offset)
    assert FAULTY not in harness.stored()

    harness.query("DROP TRIGGER fail ON orders")
    harness.wait_committed({0: 100})
    assert harness.stored() == uids
    assert harness.query("SELECT count(*) FROM items") == [(100,)]
    assert harness.dead_letters() == []
    assert len(consumer.logged(FOUND)) == 1
    assert "Zzyzx" not in consumer.log.read_text()


def test_an_order_that_was_named_can_be_skipped_by_erasing_it(harness: Harness) -> None:
    harness.query(FAIL)
    harness.produce(*orders([order_document(order_uid=uid) for uid in ("order-1", FAULTY, "order-2")]))
    consumer = harness.consumer(ORDERS_RETRY__MAX_BACKOFF="0.1")
    eventually(lambda: bool(consumer.logged(FOUND)), what="the order is named")
    harness.output_of("erase", "--yes", FAULTY)
    harness.wait_committed({0: 3})
    assert harness.stored() == {"order-1", "order-2"}
