"""With `dead_letters.exactly_once`, a `read_committed` consumer sees each dead letter once, whatever fails."""

import signal

import pytest

from local.broker import Broker
from tests.faults.test_consumers import is_suspended, partitions_of, send_until_killed
from tests.faults.test_kafka import group_of, on_cluster
from tests.faults.topics import PARTITIONS
from tests.faults.workload import INVALID, RATE, STREAM_SECONDS, Workload, wait_assigned
from tests.kit.temporary import configure_topic
from tests.kit.waiting import eventually

EXACTLY_ONCE = {"ORDERS_DEAD_LETTERS__EXACTLY_ONCE": "true"}
SMALL_BYTES = 2_000
END_TRANSACTION = rb"(?s)\x00\x1a\x00[\x00-\x05].{4}\x00\x06orders"
"""Kafka's EndTxn request (API key 26): key, version, correlation id, and client id."""
UNANSWERED_SECONDS = 12.0
"""Longer than two calls of the client may take."""


@pytest.mark.parametrize("place", ["after-commit", "before-transaction-commit", "after-transaction-commit"])
def test_a_member_is_killed_with_exactly_once(workload: Workload, place: str) -> None:
    workload.members(1, **EXACTLY_ONCE)
    killed = wait_assigned(workload.start_with_failpoint(place, 4, **EXACTLY_ONCE))
    send_until_killed(workload, killed, INVALID)
    workload.fault_ended()
    workload.start(**EXACTLY_ONCE)
    workload.assert_exact(exactly_once=True)


@pytest.mark.parametrize("how", ["is-killed", "is-restarted"])
def test_one_of_two_brokers_with_exactly_once(workload: Workload, how: str, two_brokers: tuple[Broker, Broker]) -> None:
    """The only broker with a partition may leave transactions open for ever when it stops, so there are two."""
    first, second = two_brokers
    workload = on_cluster(workload, first, group=group_of(first, coordinator=2), brokers=(1, 2))
    workload.members(**EXACTLY_ONCE)
    workload.send(plan=INVALID)
    workload.wait_stored()
    (second.kill if how == "is-killed" else second.stop)()
    second.start()
    workload.fault_ended()
    workload.assert_exact(exactly_once=True)


def test_a_member_is_suspended_with_exactly_once(workload: Workload) -> None:
    """The member is suspended in a transaction while another sends dead letters, and resumes before it times out."""
    (other,) = workload.members(1, **EXACTLY_ONCE)
    suspended = wait_assigned(workload.start_with_failpoint("before-send-offsets", 4, "SIGSTOP", **EXACTLY_ONCE))
    sender = workload.send(STREAM_SECONDS, plan=INVALID)
    eventually(lambda: is_suspended(suspended), 30, "the member is suspended")
    eventually(lambda: len(partitions_of(other)) == PARTITIONS, 30, "the other member has all partitions")
    workload.wait_stored()
    suspended.process.send_signal(signal.SIGCONT)
    workload.fault_ended()
    sender.stop()
    workload.assert_exact(exactly_once=True)


def test_members_join_and_leave_with_exactly_once(workload: Workload) -> None:
    members = workload.members(**EXACTLY_ONCE)
    workload.send(8, plan=INVALID)
    for _ in range(3):
        members.append(wait_assigned(workload.start(**EXACTLY_ONCE)))
        workload.stop(members.pop(0))
    workload.assert_exact(exactly_once=True)


def test_dead_letters_are_too_large_with_exactly_once(workload: Workload) -> None:
    configure_topic(workload.kafka.bootstrap_servers, workload.dead_letter_topic, {"max.message.bytes": SMALL_BYTES})
    workload.members(**EXACTLY_ONCE)
    workload.send(2)
    workload.assert_exact(exactly_once=True)
    assert any(b"original_offset" in (dead_letter.value() or b"") for dead_letter in workload.outcome.dead_letters())


def test_the_response_to_a_transaction_commit_is_lost(workload: Workload) -> None:
    """Whether it was committed is unknown until the next producer with the same transactional id has ended it."""
    settings = {**EXACTLY_ONCE, **workload.through_proxies, "ORDERS_KAFKA__SESSION_TIMEOUT": "45s"}
    workload.members(1, **settings)
    sender, proxy = workload.send(STREAM_SECONDS, rate=RATE / 4, plan=INVALID), workload.kafka_proxy
    workload.wait_stored(200)
    proxy.refuses_after_reset, proxy.reset_after = True, END_TRANSACTION
    eventually(lambda: proxy.reset_after is None, what="a commit is sent")
    with proxy.unreachable():
        workload.outlast(UNANSWERED_SECONDS)
    workload.fault_ended()
    proxy.refuses_after_reset = False
    sender.stop()
    workload.assert_exact(exactly_once=True)
