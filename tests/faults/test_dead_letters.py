"""The dead-letter topic is missing, not writable or too small; floods of invalid messages must not reach it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from generator.stream import Plan, stream
from tests.faults.workload import MIX, Workload
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.temporary import configure_topic
from tests.kit.waiting import eventually

FLOOD = 2_500
WINDOW = 1_000
"""Messages that the circuit breaker evaluates before it may open."""
SMALL_BYTES = 2_000


def wait_rejected(members: Sequence[Service]) -> None:
    eventually(
        lambda: sum(metric(each, "orders_dead_letter_retries_total") for each in members) > 0,
        60,
        "dead letters are rejected",
    )


def test_the_dead_letter_topic_is_missing(workload: Workload) -> None:
    workload.topics.delete(workload.dead_letter_topic)
    members = workload.members()
    workload.send()
    wait_rejected(members)
    assert workload.group.committed() < workload.group.produced()
    workload.topics.create(workload.dead_letter_topic)
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_the_dead_letter_topic_is_not_writable(workload: Workload) -> None:
    members = workload.members()
    with workload.topics.write_denied(workload.dead_letter_topic):
        workload.send()
        wait_rejected(members)
        assert workload.group.committed() < workload.group.produced()
    workload.fault_ended()
    assert workload.assert_exact().repeated == 0


def test_the_dead_letter_topic_rejects_large_messages(workload: Workload) -> None:
    configure_topic(workload.kafka.bootstrap_servers, workload.dead_letter_topic, {"max.message.bytes": SMALL_BYTES})
    workload.members()
    workload.send()
    workload.assert_exact()
    assert any(b"original_offset" in (dead_letter.value() or b"") for dead_letter in workload.outcome.dead_letters())


def test_a_flood_of_invalid_messages_passes_once_the_circuit_breaker_is_disabled(workload: Workload) -> None:
    """The circuit breaker opens after about one window; disabling it dead-letters the rest."""
    good, bad = Plan(count=1_000, seed=workload.seed), Plan(count=FLOOD, seed=workload.seed + 1, invalid=1)
    members = workload.members(1)
    workload.produce_messages(chain(stream(good), stream(bad)))
    eventually(lambda: metric(members[0], "orders_circuit_breaker_open") == 1, 60, "the circuit breaker is open")
    assert len(workload.outcome.dead_letters()) < WINDOW
    assert workload.group.committed() < workload.group.produced()
    workload.stop(members[0])
    workload.members(1, ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    assert workload.assert_exact().dead_lettered == FLOOD


def test_the_circuit_breaker_closes_after_a_flood_of_invalid_messages(workload: Workload) -> None:
    """Probes of a few messages are dead-lettered until the first valid messages close the circuit breaker."""
    flood = Plan(count=WINDOW + 200, seed=workload.seed + 1, invalid=1)
    probe_messages = "10" if workload.is_extended else "50"
    member = workload.members(
        1, ORDERS_CIRCUIT_BREAKER__RETRY_AFTER="20ms", ORDERS_CIRCUIT_BREAKER__PROBE_MESSAGES=probe_messages
    )[0]
    workload.produce_messages(stream(flood))
    eventually(lambda: metric(member, "orders_circuit_breaker_open") == 1, 60, "the circuit breaker is open")
    workload.produce_messages(stream(replace(MIX, count=2_000, seed=workload.seed)))
    workload.fault_ended()
    workload.assert_exact()
    assert metric(member, "orders_circuit_breaker_open") == 0
