"""The loop stores messages before it commits their offsets, also when partitions, PostgreSQL or Kafka change."""

from threading import Event

import pytest
from confluent_kafka import KafkaError
from msgspec.json import encode

from service.errors import CommandFailed, StorageUnavailable
from service.handler.kafka.consumer import shutdown
from tests.kit.consumer_loop import BAD, OPEN_AFTER_TWO, ORDER, SECONDS, LoopSetup, Make, Script, events
from tests.kit.factories import order_document
from tests.kit.fake_consumer import TOPIC
from tests.kit.fakes import FakeDeadLetters
from tests.kit.order_partitions import P0


def test_offsets_are_committed_after_their_messages_are_stored(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0, 1)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER, encode(order_document()))
        setup.kafka.append(1, encode(order_document()))
        yield lambda: len(setup.batches.started) == 1
        yield lambda: True  # one more poll
        assert setup.committed == {0: 0, 1: 0}
        setup.batches.gate.set()
        yield setup.is_committed({0: 2, 1: 1})

    setup.run(script())
    assert setup.sample("stored_total") == 3
    assert setup.sample("consumed_total") == 3


def test_the_next_batch_is_read_while_the_previous_one_is_written(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.append(0, ORDER, ORDER)
        yield lambda: setup.kafka.positions[0] == 3
        setup.batches.gate.set()
        yield setup.is_committed({0: 3, 1: 0})

    setup.run(script())
    assert setup.batches.started == [{0: 0}, {0: 1}]


def one_order(setup: LoopSetup) -> Script:
    """Send one order, and wait until the loop ends."""
    setup.kafka.rebalance("on_assign", 0)
    setup.kafka.append(0, ORDER)
    yield lambda: False


def test_an_error_of_a_batch_ends_the_loop_and_nothing_is_committed(setup: LoopSetup) -> None:
    setup.store.failures.append(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        setup.run(one_order(setup))
    assert (setup.committed, setup.kafka.is_closed) == ({0: 0, 1: 0}, True)


def test_an_error_of_leaving_the_group_does_not_replace_the_one_that_ended_the_loop(setup: LoopSetup) -> None:
    setup.store.failures.append(RuntimeError("a bug"))
    setup.kafka.failures["close"] = KafkaError(KafkaError._STATE)
    with pytest.raises(RuntimeError, match="a bug"):
        setup.run(one_order(setup))
    assert setup.kafka.is_closed


def test_a_fatal_error_of_the_client_ends_the_loop_and_names_its_cause(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.call_back("error_cb", KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True))  # noqa: FBT003 - fatal
        yield lambda: False

    with pytest.raises(CommandFailed, match="FENCED_INSTANCE_ID"):
        setup.run(script())
    assert setup.kafka.is_closed


def test_a_subscription_that_the_client_rejects_ends_the_loop(setup: LoopSetup) -> None:
    setup.kafka.failures["subscribe"] = KafkaError(KafkaError._INVALID_ARG)
    with pytest.raises(CommandFailed, match="_INVALID_ARG"):
        setup.run(iter([]))
    assert setup.kafka.is_closed


def test_a_stop_commits_the_batch_that_is_being_written_and_leaves_the_group(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.stop.set()
        setup.batches.gate.set()

    logs = setup.run(script())
    assert (setup.committed, setup.kafka.is_closed) == ({0: 1, 1: 0}, True)
    (drained,) = (each for each in logs if each["event"] == "drained")
    assert (drained["committed"], drained["uncommitted"]) == (True, 0)


def test_a_batch_that_a_stop_interrupts_is_not_committed(setup: LoopSetup) -> None:
    setup.store.failures.append(StorageUnavailable("unreachable"))

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.stop.set()
        setup.batches.gate.set()

    logs = setup.run(script())
    assert setup.committed == {0: 0, 1: 0}
    (drained,) = (each for each in logs if each["event"] == "drained")
    assert (drained["committed"], drained["uncommitted"]) == (False, 2)


def test_after_a_stop_no_batch_is_started(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.append(0, ORDER)
        yield lambda: setup.kafka.positions[0] == 2
        setup.stop.set()
        setup.batches.gate.set()

    setup.run(script())
    assert (setup.batches.started, setup.committed) == ([{0: 0}], {0: 1, 1: 0})


def test_a_failed_commit_is_logged_and_retried(setup: LoopSetup) -> None:
    setup.kafka.commit_errors.append(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield setup.is_committed({0: 1, 1: 0})

    logs = setup.run(script())
    assert events(logs).count("a commit failed and will be retried") == 1
    assert setup.sample("commit_failures_total") == 1


def test_offsets_that_were_committed_with_the_dead_letters_are_not_committed_again(make: Make) -> None:
    setup = make(dead_letters=FakeDeadLetters(commits=True))
    setup.commit(0, 0, 1)

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield lambda: setup.sample("stored_total") == 1

    setup.run(script())
    assert (setup.dead_letters.committed, setup.committed) == ([{P0: 1}], {0: 0, 1: 0})


def test_dead_letters_and_tombstones_are_counted_and_logged(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, BAD, b"")
        yield setup.is_committed({0: 2, 1: 0})

    logs = setup.run(script())
    assert [
        (each["reason"], each["detail"], each["partition"], each["offset"])
        for each in logs
        if each["event"] == "a message was dead-lettered"
    ] == [("undecodable", "malformed JSON", 0, 0)]
    assert setup.sample("dead_letters_total", reason="undecodable") == 1
    assert setup.sample("tombstones_total") == 1


def test_fetching_is_paused_during_an_outage_and_resumed_after_it(make: Make) -> None:
    setup = make(max_messages=1, pause_after=0.01)
    setup.commit(0, 0)

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER, ORDER, ORDER)
        yield lambda: setup.kafka.paused == {0}
        assert setup.kafka.positions == {0: 2}
        setup.batches.gate.set()
        yield setup.is_committed({0: 3})
        assert setup.kafka.paused == set()

    assert {"fetching is paused", "fetching is resumed"} <= {*events(setup.run(script()))}


def test_messages_that_the_open_circuit_breaker_held_back_are_read_again(make: Make) -> None:
    setup = make(breaker=OPEN_AFTER_TWO, max_messages=2)
    setup.commit(0, 0)

    def script() -> Script:
        setup.kafka.append(0, BAD, BAD, ORDER, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 4})
        assert setup.kafka.paused == set()

    logs = setup.run(script())
    assert (setup.batches.started, len(setup.dead_letters.sent)) == ([{0: 0}, {0: 0}], 2)
    assert "the circuit breaker is open: consumption is paused" in events(logs)


def test_messages_are_read_again_even_if_the_client_rejects_the_seek(make: Make) -> None:
    """It does so for a partition that it does not fetch yet."""
    setup = make(breaker=OPEN_AFTER_TWO, max_messages=2)
    setup.commit(0, 0)

    def script() -> Script:
        setup.kafka.append(0, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 1})
        setup.kafka.failures["seek"] = KafkaError(KafkaError._STATE)
        setup.kafka.append(0, BAD, BAD, ORDER, ORDER)
        yield setup.is_committed({0: 5})

    setup.run(script())
    assert setup.kafka.failures == {}
    assert len(setup.dead_letters.sent) == 2


def test_messages_of_the_poll_in_which_the_circuit_breaker_opens_are_held_back(make: Make) -> None:
    """A revocation takes the outcome inside a poll, which then returns messages that the client had prefetched."""
    setup = make(breaker=OPEN_AFTER_TWO)
    setup.commit(0, 0, 1)

    def script() -> Script:
        setup.batches.gate.clear()
        setup.kafka.append(0, BAD)
        setup.kafka.append(1, BAD)
        setup.kafka.rebalance("on_assign", 0, 1)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.append(0, ORDER)
        setup.kafka.at_next_poll(setup.batches.gate.set)
        setup.kafka.rebalance("on_revoke", 1)
        setup.kafka.at_next_poll(setup.kafka.paused.clear)  # as if the message had been prefetched before
        yield setup.is_committed({0: 2, 1: 0})

    setup.run(script())
    assert (setup.batches.started, len(setup.dead_letters.sent)) == ([{0: 0, 1: 0}, {0: 0}], 1)


def test_a_group_that_cannot_be_left_is_logged(setup: LoopSetup) -> None:
    setup.kafka.failures["close"] = KafkaError(KafkaError._TIMED_OUT)
    logs = setup.run(iter(()))
    assert logs[-1] == {
        "event": "leaving the group failed: Kafka removes the member when its session times out",
        "log_level": "warning",
        "code": "_TIMED_OUT",
        "problem": "timed out (_TIMED_OUT)",
    }


def test_a_broker_that_never_answers_does_not_delay_the_end(setup: LoopSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = Event()
    monkeypatch.setattr(setup.kafka, "close", answered.wait)
    monkeypatch.setattr(shutdown, "LEAVE_TIMEOUT_SECONDS", 0.01)
    logs = setup.run(iter(()))
    answered.set()
    event = "leaving the group timed out: Kafka removes the member when its session times out"
    assert logs[-1] == {"event": event, "log_level": "warning"}


def test_statistics_say_whether_kafka_is_up(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.call_back("stats_cb", '{"brokers": {"1": {"state": "UP"}}}')
        yield lambda: setup.sample("dependency_up", dependency="kafka") == 1
        setup.kafka.call_back("stats_cb", '{"brokers": {"1": {"state": "DOWN"}}}')
        yield lambda: setup.sample("dependency_up", dependency="kafka") == 0

    setup.run(script())


def committed_at(offset: int) -> str:
    """Return statistics of partition 0."""
    partition = {"committed_offset": offset, "lo_offset": 0, "fetch_state": "active", "hi_offset": 9, "ls_offset": 9}
    return encode({"brokers": {}, "topics": {TOPIC: {"partitions": {"0": partition}}}}).decode()


def test_statistics_say_where_the_group_continues_to_read_a_partition(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        yield lambda: 0 in setup.kafka.positions
        setup.kafka.call_back("stats_cb", committed_at(7))
        yield lambda: setup.consumer.shutdown.progress.partitions.keys() == {P0}
        assert setup.consumer.shutdown.progress.partitions[P0].offset == 7

    setup.run(script())


def test_statistics_from_before_an_assignment_are_ignored(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.call_back("stats_cb", committed_at(7))
        setup.kafka.rebalance("on_assign", 0)
        yield lambda: 0 in setup.kafka.positions

    setup.run(script())
    assert setup.consumer.shutdown.progress.partitions == {}


def test_the_age_of_the_last_poll_is_known(setup: LoopSetup) -> None:
    has_started = [setup.consumer.has_started]

    def script() -> Script:
        yield lambda: True

    setup.run(script())
    has_started.append(setup.consumer.has_started)
    assert has_started == [False, True]
    assert 0 <= setup.consumer.seconds_since_poll < SECONDS
