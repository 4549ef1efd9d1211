"""A partition loses messages that the group has read, and gets others at their offsets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import broker
from tests.kit import servers, temporary
from tests.kit.consumers import PROTOCOLS, uids
from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, metric, orders
from tests.kit.lost_log import lose_batches
from tests.kit.processes import Spawn
from tests.kit.waiting import eventually

READ, KEPT, LATER = 20, 10, 15
RECOVERY_SECONDS = 60.0
EXACTLY_ONCE = pytest.mark.parametrize("exactly_once", ["false", "true"])


class FragileKafka:
    """A broker without replicas, and its folder."""

    def __init__(self, running: broker.Broker, folder: Path) -> None:
        self.running = running
        self.folder = folder


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FragileKafka]:
    folder = tmp_path_factory.mktemp("kafka")
    with broker.kafka(folder, echo=print) as running:
        servers.warm_up_kafka(running.bootstrap_servers)
        yield FragileKafka(running, folder)


@pytest.fixture
def harness(fragile: FragileKafka, database: str, spawn: Spawn) -> Iterator[Harness]:
    address = fragile.running.bootstrap_servers
    with temporary.topic(address) as topic:
        yield Harness(address, topic, database, servers.settings(servers.Kafka(address), topic, database), spawn)


def produce_each(harness: Harness, count: int) -> list[Sent]:
    """Produce orders, each in its own batch."""
    sent = orders([order_document() for _ in range(count)])
    for each in sent:
        harness.produce(each)
    return sent


@EXACTLY_ONCE
@PROTOCOLS
def test_orders_at_the_offsets_of_lost_ones_are_stored_after_a_restart(
    fragile: FragileKafka, harness: Harness, protocol: str, exactly_once: str
) -> None:
    settings = {"ORDERS_KAFKA__GROUP_PROTOCOL": protocol, "ORDERS_DEAD_LETTERS__EXACTLY_ONCE": exactly_once}
    consumer = harness.consumer(**settings)
    sent = produce_each(harness, READ)
    harness.wait_committed({0: READ})
    assert consumer.stop() == 0
    lose_batches(fragile.running, fragile.folder, harness.topic, kept=KEPT)
    later = produce_each(harness, LATER)
    consumer = harness.consumer(**settings)
    harness.wait_stored(uids(sent) | uids(later), RECOVERY_SECONDS)
    harness.wait_committed({0: KEPT + LATER})
    (event,) = consumer.logged("the partition has lost messages before the offset")
    fields = {"partition": 0, "offset": READ, "earliest": 0, "end": KEPT + LATER, "level": "error"}
    assert event.items() >= fields.items()


def test_a_running_consumer_stores_orders_at_the_offsets_of_lost_ones(fragile: FragileKafka, harness: Harness) -> None:
    consumer = harness.consumer()
    sent = produce_each(harness, READ)
    harness.wait_committed({0: READ})
    lose_batches(fragile.running, fragile.folder, harness.topic, kept=KEPT)
    later = produce_each(harness, LATER)
    harness.wait_stored(uids(sent) | uids(later), RECOVERY_SECONDS)
    harness.wait_committed({0: KEPT + LATER}, RECOVERY_SECONDS)
    eventually(lambda: metric(consumer, "orders_lag_messages") == 0, what="nothing is left to read")


def test_a_restarted_broker_that_lost_nothing_is_not_read_again(fragile: FragileKafka, harness: Harness) -> None:
    consumer = harness.consumer()
    sent = produce_each(harness, READ)
    harness.wait_committed({0: READ})
    assert consumer.stop() == 0
    fragile.running.stop()
    fragile.running.start()
    later = produce_each(harness, LATER)
    consumer = harness.consumer()
    harness.wait_stored(uids(sent) | uids(later), RECOVERY_SECONDS)
    harness.wait_committed({0: READ + LATER})
    assert metric(consumer, "orders_consumed_total") == LATER
