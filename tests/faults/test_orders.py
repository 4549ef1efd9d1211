"""Orders that PostgreSQL rejects, large orders, a large backlog, and producers with unreliable clocks."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import confluent_kafka
import msgspec
import pytest

from generator.dead_letter_headers import origin_of
from generator.orders import encode
from generator.stream import Message, Plan, stream
from service.entities.dead_letter import Reason
from tests.faults.checker import headers_in
from tests.faults.nemesis import rejecting
from tests.faults.workload import MIX, Workload
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.waiting import eventually

BATCH = 5_000
POISON = "poison"
IS_POISON = f"NEW.oof_shard = '{POISON}'"
MAX_WRITE_SECONDS = 5.0
PROBE_AT_ONCE = {"ORDERS_CIRCUIT_BREAKER__RETRY_AFTER": "100ms"}
MIN_REJECTED = 10
"""Rejections that open the circuit breaker, by default."""
NAMED = "PostgreSQL fails with an internal error on one order"
SLOW_RATE = 50
"""Orders per second."""
MEMORY_MIB = 256
"""The documented memory limit of a consumer (docs/limits.md)."""
MANY_ITEMS = 1_000
ITEM_BYTES = 350
"""Twice as many hexadecimal characters: an order of 1,000 items is nearly 1 MiB."""


def poisoned(messages: Iterable[Message], positions: range) -> Iterator[Message]:
    """Replace the messages at these positions by valid orders that `rejecting` rejects."""
    for number, message in enumerate(messages):
        yield _as_poison(message) if number in positions else message


def _as_poison(message: Message) -> Message:
    document = msgspec.json.decode(message.value or b"") | {"oof_shard": POISON}
    return message._replace(value=encode(document), reason=Reason.REJECTED)


@pytest.mark.parametrize("positions", [range(3_000, 3_001), range(3_000, 3_500)], ids=["1", "500-consecutive"])
def test_postgresql_rejects_orders_of_a_large_batch(workload: Workload, positions: range) -> None:
    orders = stream(Plan(count=BATCH, seed=workload.seed))
    workload.produce_messages(poisoned(orders, positions)).wait(60)
    with rejecting(workload, IS_POISON, "23514"):
        member = workload.members(1)[0]
        workload.fault_ended()
        workload.settle()
    assert workload.assert_exact().dead_lettered == len(positions)
    assert 0 < write_seconds(member) < MAX_WRITE_SECONDS


def test_postgresql_fails_with_an_internal_error_on_one_order(workload: Workload) -> None:
    """The error does not say which order causes it, so the consumer searches for it, and dead-letters nothing."""
    messages = [*stream(Plan(count=BATCH, seed=workload.seed))]
    faulty = messages[3_000].key.decode()
    workload.produce_messages(iter(messages)).wait(60)
    with rejecting(workload, f"NEW.order_uid = '{faulty}'", "XX000"):
        (member,) = workload.members(1)
        eventually(lambda: bool(member.logged(NAMED)), 60, "the order is named")
        assert [line["order_uid"] for line in member.logged(NAMED)] == [faulty]
    workload.fault_ended()
    assert workload.assert_exact().dead_lettered == 0


def test_postgresql_rejects_every_order_of_a_slow_stream(workload: Workload) -> None:
    """Batches are too small to open the breaker alone, so rejections are counted across batches."""
    members = workload.members(2, ORDERS_BATCH__MAX_MESSAGES="3", **PROBE_AT_ONCE)
    with rejecting(workload, "true", "P0001"):
        sender = workload.produce_messages(stream(Plan(count=SLOW_RATE * 4, seed=workload.seed)), rate=SLOW_RATE)
        eventually(
            lambda: all(metric(each, "orders_circuit_breaker_open") == 1 for each in members),
            30,
            "both circuit breakers are open",
        )
        sender.wait(30)
        assert len(workload.outcome.dead_letters()) < len(members) * MIN_REJECTED
    workload.fault_ended()
    workload.settle()
    given_up = {origin(dead_letter) for dead_letter in workload.outcome.dead_letters()}
    result = workload.assert_exact(expected_reason=lambda sent: Reason.REJECTED if place(sent) in given_up else None)
    assert result.dead_lettered < len(members) * MIN_REJECTED


def test_orders_are_stored_behind_orders_that_postgresql_always_rejects(workload: Workload) -> None:
    """While every order is rejected, PostgreSQL may be at fault; once it stores later orders, the orders are.

    The rejected orders are in one partition and fill several batches. Meanwhile a second member joins.
    """
    good = Plan(count=500, seed=workload.seed + 1)
    rejected = [
        each._replace(key=b"rejected") for each in poisoned(stream(Plan(count=60, seed=workload.seed)), range(60))
    ]
    member = workload.members(1, ORDERS_BATCH__MAX_MESSAGES="20", **PROBE_AT_ONCE)[0]
    with rejecting(workload, IS_POISON, "P0001"):
        workload.produce_messages(rejected).wait(30)
        eventually(lambda: metric(member, "orders_circuit_breaker_open") == 1, 30, "the circuit breaker is open")
        workload.members(1, ORDERS_BATCH__MAX_MESSAGES="20", **PROBE_AT_ONCE)
        workload.produce_messages(stream(good)).wait(30)
        workload.fault_ended()
        workload.settle()
    result = workload.assert_exact()
    assert (result.stored, result.dead_lettered) == (500, 60)


def origin(dead_letter: confluent_kafka.Message) -> tuple[int, int] | None:
    found = origin_of(headers_in(dead_letter))
    return found and (found.partition, found.offset)


def place(message: confluent_kafka.Message) -> tuple[int | None, int | None]:
    return message.partition(), message.offset()


def write_seconds(member: Service) -> float:
    """Return the total write time of all batches: an upper bound for the slowest one."""
    return metric(member, "orders_batch_seconds_sum", stage="write")


def test_a_large_backlog_is_processed_within_256_mib(workload: Workload) -> None:
    """A million messages if extended."""
    count = 1_000_000 if workload.is_extended else 30_000
    workload.produce_messages(stream(replace(MIX, count=count, seed=workload.seed, too_large=False))).wait(600)
    member = workload.members(1)[0]
    workload.fault_ended()
    workload.settle(600)
    assert member.peak_mib() < MEMORY_MIB
    workload.assert_exact()


def test_orders_of_1_mib_are_processed_within_256_mib(workload: Workload) -> None:
    count = 400 if workload.is_extended else 100
    workload.produce_messages(map(_with_many_items, stream(Plan(count=count, seed=workload.seed)))).wait(120)
    member = workload.members(1)[0]
    workload.fault_ended()
    workload.settle()
    assert member.peak_mib() < MEMORY_MIB
    workload.assert_exact()


def _with_many_items(message: Message) -> Message:
    """Give the order 1,000 items with random names, which do not compress."""
    document = msgspec.json.decode(message.value or b"")
    item, source = document["items"][0], Random(document["order_uid"])  # noqa: S311 - the same for each seed
    items = [item | {"name": source.randbytes(ITEM_BYTES).hex()} for _ in range(MANY_ITEMS)]
    return message._replace(value=encode(document | {"items": items}))


CLOCK_STEPS_MS = (0, 3_000_000, -3_600_000, 1, 1_800_000, -86_400_000)
"""50 minutes fast, an hour slow, half an hour fast, a day slow. Brokers reject timestamps an hour ahead."""


@pytest.mark.parametrize("order", ["timestamp", "offset"])
def test_a_producers_clock_steps(workload: Workload, order: str) -> None:
    workload.members(ORDERS_VERSION__COMPARE_BY=order)
    workload.produce_messages(
        with_clock_steps(stream(replace(MIX, updates=0.3, count=4_000, seed=workload.seed))), rate=2_000
    )
    workload.assert_exact(compare_by=order)


def with_clock_steps(messages: Iterable[Message]) -> Iterator[Message]:
    """Step the clock after every hundred messages."""
    for number, message in enumerate(messages):
        yield message._replace(timestamp_offset_ms=CLOCK_STEPS_MS[number // 100 % len(CLOCK_STEPS_MS)] + number % 100)
