"""Members that join, leave and are killed lose no order and repeat no finished work."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.json import decode

from tests.kit.consumers import JOIN_SECONDS, PROTOCOLS, TABLES, assigned, rows
from tests.kit.harness import Harness, metric
from tests.kit.processes import Service
from tests.kit.waiting import eventually


@contextmanager
def load(harness: Harness) -> Iterator[None]:
    """Produce 300 orders a second within the block."""
    generator = harness.spawn("generate", "--count", "0", "--rate", "300", settings=harness.settings)
    yield
    assert generator.stop() == 0, generator.tail()


def wait_storing(service: Service) -> None:
    eventually(lambda: metric(service, "orders_stored_total") > 0, JOIN_SECONDS, "the member stores orders")


def assert_exact(harness: Harness) -> None:
    """Assert that each order of the topic is stored completely and once, and none is a dead letter."""
    sent = [decode(message.value() or b"") for message in harness.messages(harness.topic)]
    harness.wait_stored({document["order_uid"] for document in sent})
    items = sum(len(document["items"]) for document in sent)
    assert {table: len(found) for table, found in rows(harness).items()} == dict.fromkeys(TABLES, len(sent)) | {
        "items": items
    }
    assert harness.dead_letters() == []


@PROTOCOLS
def test_a_member_that_joins_and_leaves_under_load_loses_and_repeats_nothing(harness: Harness, protocol: str) -> None:
    first = assigned(harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol))
    with load(harness):
        second = harness.consumer(ORDERS_KAFKA__GROUP_PROTOCOL=protocol)
        wait_storing(second)
        wait_storing(first)
        assert metric(second, "orders_unchanged_total") == 0
        assert second.stop() == 0
    assert_exact(harness)
    assert metric(first, "orders_unchanged_total") == 0


def test_orders_are_stored_once_while_members_are_killed_join_and_leave(harness: Harness) -> None:
    first, killed = assigned(harness.consumer()), assigned(harness.consumer())
    with load(harness):
        wait_storing(first)
        wait_storing(killed)
        killed.kill()
        third = harness.consumer()
        wait_storing(third)
        assert third.stop() == 0
    assert_exact(harness)
