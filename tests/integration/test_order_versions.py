"""The greatest version of an order is stored, also after a redelivery or a replay."""

from collections.abc import Sequence
from random import Random

import httpx2
from msgspec.json import encode

from tests.kit.consumers import JOIN_SECONDS, commit, ends, rows, spread, table_locked, wait_for_blocked_batch
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, metric, orders, samples
from tests.kit.processes import Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

OUTCOMES = ("stored", "replaced", "unchanged", "stale")


def version(uid: str, number: int, timestamp_ms: int, partition: int = 0) -> Sent:
    """Return a version of an order, with its number as `sm_id`."""
    return Sent(encode(order_document(order_uid=uid, sm_id=number)), uid.encode(), partition, timestamp_ms)


def one_batch(harness: Harness, earlier: Sequence[Sent], batch: Sequence[Sent]) -> dict[str, float]:
    """Process `batch` as one batch, and return what it added to the counters.

    An order before it waits for a lock until all of `batch` has been fetched.
    """
    before = [*earlier, *(version(f"first-{number}", 0, 1, number) for number in range(PARTITIONS))]
    blocked = version("blocked-0", 0, 1)
    harness.produce(*before)
    service = harness.consumer()
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "a lag of 0")
    harness.wait_committed(ends(before))
    began = counted(service)
    with table_locked(harness):
        harness.produce(blocked)
        wait_for_blocked_batch(harness)
        harness.produce(*batch)
        eventually(lambda: metric(service, "orders_lag_messages") == 1 + len(batch), what="the batch is fetched")
    harness.wait_committed(ends([*before, blocked, *batch]))
    added = {name: count - began[name] for name, count in counted(service).items()}
    assert added.pop("batches") == 2
    assert added.pop("consumed") == 1 + len(batch)
    return added | {"stored": added["stored"] - 1}


def counted(service: Service) -> dict[str, float]:
    batches = metric(service, "orders_batch_messages_count")
    return {"batches": batches} | {name: metric(service, f"orders_{name}_total") for name in ("consumed", *OUTCOMES)}


def stored_versions(harness: Harness) -> dict[str, int]:
    return dict(harness.query("SELECT order_uid, sm_id FROM orders WHERE order_uid !~ '^(first|blocked)-'"))


def test_the_greatest_version_in_a_batch_is_stored_and_each_version_counted_once(harness: Harness) -> None:
    earlier = [version("replaced", 0, 1_000), version("older", 0, 5_000), version("same", 0, 1_000)]
    batch = [
        *(version("newest", 1, 3_000, 0), version("newest", 2, 4_000, 2), version("newest", 3, 3_500, 1)),
        *(version("by-partition", 1, 3_000, 2), version("by-partition", 2, 3_000, 1)),
        *(version("by-offset", 1, 3_000), version("by-offset", 2, 3_000)),
        *(version("twice", 0, 3_000), version("twice", 0, 3_000)),
        *(version("replaced", 1, 2_000), version("older", 1, 2_000), version("same", 0, 2_000)),
    ]
    assert one_batch(harness, earlier, batch) == {"stored": 4, "replaced": 1, "unchanged": 2, "stale": 5}
    assert stored_versions(harness) == {
        "newest": 2, "by-partition": 1, "by-offset": 2, "twice": 0, "replaced": 1, "older": 0, "same": 0,
    }  # fmt: skip


def test_the_greatest_of_hundreds_of_versions_in_random_order_is_stored(harness: Harness) -> None:
    chance = Random(5)  # noqa: S311 - the same in every run
    sent = [
        version(f"o{chance.randrange(20)}", number, chance.randrange(1, 6) * 1_000, chance.randrange(PARTITIONS))
        for number in range(400)
    ]
    earlier, batch = sent[:100], sent[100:]
    assert sum(one_batch(harness, earlier, batch).values()) == len(batch)
    greatest = {
        each.key: number
        for number, each in sorted(
            enumerate(sent), key=lambda place: (place[1].timestamp_ms, place[1].partition, place[0])
        )
    }
    assert stored_versions(harness) == {(key or b"").decode(): number for key, number in greatest.items()}


# Redelivery


def test_null_in_an_optional_field_is_stored_and_served_as_absent(harness: Harness) -> None:
    bare = order_document()
    del bare["internal_signature"], bare["payment"]["request_id"]
    with_nulls = bare | {"internal_signature": None, "payment": bare["payment"] | {"request_id": None}}
    filled = order_document(internal_signature="s", payment={"request_id": "r"})
    emptied = filled | {"internal_signature": None, "payment": filled["payment"] | {"request_id": ""}}
    harness.produce(*orders([with_nulls, filled]))
    consumer = harness.consumer()
    harness.wait_committed({0: 2})
    harness.produce(*orders([bare, emptied]))
    harness.wait_committed({0: 4})
    assert [metric(consumer, f"orders_{name}_total") for name in ("stored", "unchanged", "replaced")] == [2, 1, 1]
    assert harness.dead_letters() == []
    api = harness.spawn("api", settings=harness.settings).ready()
    del emptied["internal_signature"]
    responses = [httpx2.get(f"{api.url}/orders/{each['order_uid']}").json() for each in (bare, emptied)]
    assert responses == [bare, emptied]


def test_a_redelivery_changes_nothing(harness: Harness) -> None:
    sent = spread([order_document() for _ in range(300)])
    harness.produce(*sent)
    first = harness.consumer()
    harness.wait_committed(ends(sent))
    assert first.stop() == 0
    before = rows(harness)
    commit(harness, dict.fromkeys(range(PARTITIONS), 0))
    second = harness.consumer()
    harness.wait_committed(ends(sent))
    assert metric(second, "orders_unchanged_total") == metric(second, "orders_consumed_total") == len(sent)
    assert rows(harness) == before
    assert harness.dead_letters() == []


def test_a_replayed_dead_letter_keeps_its_version_and_overwrites_nothing_newer(harness: Harness) -> None:
    harness.query("ALTER TABLE orders ADD CONSTRAINT not_yet CHECK (sm_id <> 13)")
    rejected = [version("overtaken", 13, 1_700_000_000_000), version("alone", 13, 1_700_000_000_001)]
    harness.produce(*rejected, version("overtaken", 14, 1_700_000_000_002))
    service = harness.consumer()
    harness.wait_committed({0: 3})
    assert stored_versions(harness) == {"overtaken": 14}
    harness.query("ALTER TABLE orders DROP CONSTRAINT not_yet")
    assert harness.spawn("dlq", "replay", settings=harness.settings).process.wait(30) == 0
    harness.wait_committed({0: 5})
    assert stored_versions(harness) == {"overtaken": 14, "alone": 13}
    assert metric(service, "orders_stale_total") == 1
    source = "source_partition, source_offset, extract(epoch FROM source_timestamp) * 1000"
    assert harness.query(f"SELECT {source} FROM orders WHERE order_uid = 'alone'") == [(0, 1, 1_700_000_000_001)]  # noqa: S608
