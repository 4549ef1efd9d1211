"""Brokers are restarted, killed, suspended, replaced and disconnected while orders arrive."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from generator.produce import RateLimiter, produce
from generator.stream import Plan, stream
from local.broker import Broker
from service.pkg.shutdown_event import ShutdownEvent
from tests.faults.nemesis import orders_locked, stopped, suspended
from tests.faults.topics import create_topics
from tests.faults.workload import DELIVERY, INVALID, RATE, STREAM_SECONDS, Workload
from tests.kit.harness import metric
from tests.kit.waiting import eventually

OPEN = "orders_open_transaction_messages"
TRANSACTION_SECONDS = 30.0


def test_the_broker_is_restarted(workload: Workload) -> None:
    workload.members()
    workload.send()
    workload.wait_stored()
    with stopped(workload.kafka):
        pass
    workload.fault_ended()
    workload.assert_exact()


def test_the_broker_is_killed(workload: Workload) -> None:
    workload.members()
    workload.send()
    workload.wait_stored()
    workload.kafka.kill()
    workload.kafka.start()
    workload.fault_ended()
    workload.assert_exact()


def test_the_broker_is_suspended_for_longer_than_the_session_timeout(workload: Workload) -> None:
    """The suspension takes 30 s if extended."""
    workload.members()
    workload.send()
    workload.wait_stored()
    with suspended(workload.kafka):
        workload.outlast(30 if workload.is_extended else 1.5 * workload.session_seconds)
    workload.fault_ended()
    workload.assert_exact()


@pytest.mark.parametrize("delivery", DELIVERY)
def test_a_member_is_stopped_while_the_broker_is_suspended(workload: Workload, delivery: str) -> None:
    """The orders of the last batch are stored; their offsets cannot be committed, and the session has not expired."""
    (member,) = workload.members(1, **DELIVERY[delivery], ORDERS_KAFKA__SESSION_TIMEOUT="12s")
    workload.send(plan=INVALID if delivery == "exactly-once" else Plan())
    workload.wait_stored(300)
    with ExitStack() as thaw:
        with orders_locked(workload):
            before = workload.stored()
            thaw.enter_context(suspended(workload.kafka))
        eventually(lambda: workload.stored() > before, 30, "the batch is stored")
        workload.stop(member)
    (drained,) = member.logged("drained")
    assert drained["committed"] is False
    workload.fault_ended()
    workload.start(**DELIVERY[delivery])
    workload.assert_exact(exactly_once=delivery == "exactly-once")


def test_connections_to_kafka_and_postgresql_are_closed_repeatedly(workload: Workload) -> None:
    members = workload.members(**workload.through_proxies)
    sender = workload.send(STREAM_SECONDS)
    for _ in range(4):
        workload.wait_stored(300)
        workload.kafka_proxy.close_connections()
        workload.postgres_proxy.close_connections()
    workload.fault_ended()
    sender.stop()
    assert sum(metric(member, "orders_retries_total") for member in members) > 0
    workload.assert_exact()


def test_connections_to_the_broker_become_half_open(workload: Workload) -> None:
    """The session is lost; only new connections work."""
    members = workload.members(**workload.through_proxies)
    workload.send()
    workload.wait_stored()
    workload.kafka_proxy.half_open()
    eventually(
        lambda: sum(metric(member, "orders_rebalances_total", kind="lost") for member in members) > 0, 90,
        "a session is lost",
    )  # fmt: skip
    workload.fault_ended()
    workload.assert_exact()


def test_the_group_coordinator_moves_to_another_broker(workload: Workload, two_brokers: tuple[Broker, Broker]) -> None:
    first, second = two_brokers
    workload = on_cluster(workload, first, group=group_of(first, coordinator=2))
    workload.members()
    workload.send()
    workload.wait_stored()
    second.kill()
    workload.fault_ended()
    workload.assert_exact()


def on_cluster(workload: Workload, kafka: Broker, group: str, *, brokers: Sequence[int] = (1,)) -> Workload:
    """Return the workload on another cluster, with its topics on these brokers."""
    create_topics(kafka.bootstrap_servers, workload.topic, workload.dead_letter_topic, brokers=brokers)
    there = {"ORDERS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "ORDERS_KAFKA__GROUP_ID": group}
    return replace(workload, kafka=kafka, settings=workload.settings | there)


def group_of(kafka: Broker, coordinator: int) -> str:
    """Return the name of a group with this coordinator, which depends only on the name."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

    def coordinated() -> str | None:
        names = [f"orders-{number}" for number in range(8)]
        found = {name: asked.result(10).coordinator for name, asked in admin.describe_consumer_groups(names).items()}
        return next((name for name, node in found.items() if node and node.id == coordinator), None)

    return eventually(coordinated, 60, f"a group with coordinator {coordinator}") or ""


@pytest.mark.parametrize("end", ["committed", "aborted"])
def test_an_open_producer_transaction_blocks_later_orders_until_it_is(workload: Workload, end: str) -> None:
    """The later orders do not count as lag. Meanwhile a member is killed."""
    members = workload.members()
    producer = Producer({
        "bootstrap.servers": workload.kafka.bootstrap_servers, "transactional.id": uuid4().hex,
        "transaction.timeout.ms": 600_000, "log_level": 0,
    })  # fmt: skip
    producer.init_transactions(TRANSACTION_SECONDS)
    producer.begin_transaction()
    inside = stream(Plan(count=300, seed=workload.seed + 1_000, until=None))
    assert produce(
        inside, producer, workload.topic, limiter=RateLimiter(0), stop=ShutdownEvent(), on_progress=lambda _: None
    ).complete
    workload.send(1).wait(TRANSACTION_SECONDS)
    eventually(
        lambda: sum(metric(each, OPEN) for each in members) >= 300 + RATE,
        TRANSACTION_SECONDS,
        OPEN,
    )
    assert sum(metric(each, "orders_lag_messages") for each in members) == workload.stored() == 0
    workload.kill(members[0])
    if end == "committed":
        producer.commit_transaction(TRANSACTION_SECONDS)
    else:
        producer.abort_transaction(TRANSACTION_SECONDS)
    # The broker writes the markers later: until then the later orders do not count as lag.
    is_open = partial(workload.topics.has_open_transaction, workload.topic)
    eventually(lambda: not is_open(), TRANSACTION_SECONDS, "the end of the transaction")
    workload.fault_ended()
    workload.assert_exact()
    for name in (OPEN, "orders_lag_messages", "orders_lag_seconds"):
        eventually(lambda name=name: metric(members[1], name) == 0, TRANSACTION_SECONDS, f"{name} is 0")  # type: ignore[misc]
