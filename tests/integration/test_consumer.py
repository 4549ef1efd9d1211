"""A consumer as a separate process with a real Kafka and PostgreSQL stores each order exactly once."""

from collections.abc import Mapping
from datetime import timedelta
from subprocess import TimeoutExpired
from time import monotonic

import httpx2
import pytest
from confluent_kafka import Producer
from msgspec.json import encode

from service.entities.dead_letter_headers import read_origin
from tests.kit.consumers import (
    JOIN_SECONDS,
    PROTOCOLS,
    TABLES,
    assigned,
    ends,
    rows,
    spread,
    table_locked,
    uids,
    wait_for_blocked_batch,
)
from tests.kit.factories import SAMPLE, order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, headers, metric, orders, samples
from tests.kit.processes import DRAIN_TIMEOUT_SECONDS
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

UID = SAMPLE["order_uid"]
BACKLOG = 20_000
PEAK_MIB = 230
"""Peak memory with a backlog: two full batches in flight, 10% below the documented limit of 256 MiB."""


# One order


def test_the_sample_is_stored_in_four_tables_and_served_within_a_second(harness: Harness) -> None:
    assigned(harness.consumer())
    api = harness.spawn("api", settings=harness.settings).ready()
    url = f"{api.url}/orders/{UID}"
    assert httpx2.get(url).status_code == 404
    producer = Producer({"bootstrap.servers": harness.bootstrap_servers})
    producer.produce(harness.topic, encode(SAMPLE), on_delivery=lambda *_: None)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    produced_at = monotonic()
    eventually(lambda: httpx2.get(url).status_code == 200, what="200")
    assert monotonic() - produced_at < 1
    assert harness.query("SELECT id, order_uid FROM orders") == [(1, UID)]
    assert {table: [row[0] for row in found] for table, found in rows(harness).items()} == {
        table: [1] for table in TABLES
    }
    first, again = httpx2.get(url), httpx2.get(url)
    assert first.json() == SAMPLE
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    unchanged = httpx2.get(url, headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_single_order_does_not_wait_for_a_full_batch(harness: Harness) -> None:
    assigned(harness.consumer())
    for number in range(1, 4):
        harness.produce(*orders([order_document()]))
        harness.wait_committed({0: number})
    delays = [delay for (delay,) in harness.query("SELECT stored_at - source_timestamp FROM orders")]
    assert min(delays) < timedelta(seconds=1)  # the best of three, to tolerate a slow machine


# A backlog


def test_a_backlog_is_stored_exactly_once_in_bounded_memory(harness: Harness) -> None:
    backlog = spread([order_document() for _ in range(BACKLOG)])
    harness.produce(*backlog)
    with table_locked(harness):
        service = harness.consumer()
        eventually(lambda: service.logged("fetching is paused"), JOIN_SECONDS, "fetching is paused")
    harness.wait_committed(ends(backlog), timeout_seconds=60)
    assert harness.stored() == uids(backlog)
    assert harness.query("SELECT count(*), count(DISTINCT order_id) FROM items") == [(BACKLOG, BACKLOG)]
    assert metric(service, "orders_stored_total") == metric(service, "orders_consumed_total") == BACKLOG
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, what="no lag")
    assert service.peak_mib() < PEAK_MIB


def test_lag_is_reported_while_fetching_is_paused(harness: Harness) -> None:
    known, backlog, later = (
        [*spread([order_document() for _ in range(count)])] for count in (PARTITIONS, BACKLOG, 100)
    )
    harness.produce(*known)
    service = harness.consumer()
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "a lag of 0")
    with table_locked(harness):
        harness.produce(*backlog)
        eventually(lambda: service.logged("fetching is paused"), JOIN_SECONDS, "fetching is paused")
        harness.produce(*later)
        behind = len(backlog) + len(later)
        eventually(
            lambda: metric(service, "orders_lag_messages") == behind, JOIN_SECONDS, "the lag includes later messages"
        )
        eventually(lambda: metric(service, "orders_paused_seconds_total") > 1, JOIN_SECONDS, "the pause is counted")
    eventually(lambda: samples(service, "orders_lag_messages") == [0] * PARTITIONS, JOIN_SECONDS, "no lag")


# SIGTERM


@PROTOCOLS
def test_a_stopped_consumer_has_committed_exactly_what_it_has_processed(harness: Harness, protocol: str) -> None:
    sent = spread([order_document(**({"sm_id": -1} if number % 10 == 0 else {})) for number in range(3_000)])
    harness.produce(*sent)
    service = harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol, ORDERS_BATCH__MAX_MESSAGES="10")
    eventually(harness.stored, JOIN_SECONDS, "orders are stored")
    assert service.stop() == 0
    assert 0 < len(processed(harness)) < len(sent)
    assert processed(harness) == up_to(harness.committed())
    harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol)
    harness.wait_committed(ends(sent))
    assert processed(harness) == up_to(ends(sent))
    assert len(harness.dead_letters()) == 300


def processed(harness: Harness) -> list[tuple[int, int]]:
    """Return partition and offset of each stored order and each dead letter."""
    stored = harness.query("SELECT source_partition, source_offset FROM orders")
    origins = [read_origin(headers(dead_letter)) for dead_letter in harness.dead_letters()]
    return sorted([*stored, *((origin.partition, origin.offset) for origin in origins if origin)])


def up_to(offsets: Mapping[int, int]) -> list[tuple[int, int]]:
    return [(partition, offset) for partition in sorted(offsets) for offset in range(offsets[partition])]


def test_sigterm_waits_for_the_running_transaction_and_commits_its_offsets(harness: Harness) -> None:
    service = assigned(
        harness.consumer(ORDERS_REBALANCE__REVOKE_TIMEOUT="100ms")
    )  # otherwise the revocation would wait for it too
    with table_locked(harness):
        harness.produce(*orders([order_document()]))
        wait_for_blocked_batch(harness)
        with pytest.raises(TimeoutExpired):
            service.stop(within=2.5)
    assert service.process.wait(DRAIN_TIMEOUT_SECONDS) == 0
    assert len(harness.stored()) == 1
    assert harness.committed() == {0: 1}
