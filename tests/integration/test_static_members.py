"""Static members (`group.instance.id`): a restart within the session timeout moves no partition."""

from tests.kit.consumers import JOIN_SECONDS, spread, uids
from tests.kit.factories import order_document
from tests.kit.harness import Harness, metric
from tests.kit.processes import Service
from tests.kit.temporary import PARTITIONS
from tests.kit.waiting import eventually

INSTANCE_ID = "ORDERS_KAFKA__PROPERTIES__group.instance.id"
SESSION_TIMEOUT = {"ORDERS_KAFKA__SESSION_TIMEOUT": "60"}
"""As in the chart: longer than a restart."""


def test_a_static_member_that_restarts_gets_its_partitions_back_without_a_rebalance(harness: Harness) -> None:
    staying, restarted = (static_member(harness, name) for name in ("orders-0", "orders-1"))
    eventually(lambda: owned(staying) and owned(restarted), JOIN_SECONDS, "both own partitions")
    eventually(lambda: len(owned(staying) | owned(restarted)) == PARTITIONS, JOIN_SECONDS, "all partitions are owned")
    store_orders(harness)
    changes, partitions = metric(staying, "orders_rebalances_total"), owned(restarted)
    assert restarted.stop() == 0
    restarted = static_member(harness, "orders-1")
    eventually(lambda: owned(restarted) == partitions, JOIN_SECONDS, "it owns the same partitions")
    store_orders(harness)
    assert metric(restarted, "orders_rebalances_total") == 1
    assert metric(staying, "orders_rebalances_total") == changes


def static_member(harness: Harness, name: str) -> Service:
    return harness.consumer(**SESSION_TIMEOUT, **{INSTANCE_ID: name})


def owned(member: Service) -> set[str]:
    """Return the partitions that the member owns, by its log."""
    partitions = set[str]()
    for change in member.logged("partitions changed"):
        changed = set(change["partitions"])
        partitions = partitions | changed if change["kind"] == "assigned" else partitions - changed
    return partitions


def store_orders(harness: Harness) -> None:
    """Produce an order to each partition and block until all are stored."""
    sent = spread([order_document() for _ in range(PARTITIONS)])
    harness.produce(*sent)
    harness.wait_stored(harness.stored() | uids(sent))
