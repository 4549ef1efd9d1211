"""What the loop commits when partitions are revoked or lost."""

from confluent_kafka import KafkaError

from service.errors import StorageUnavailable
from tests.kit.consumer_loop import ORDER, SECONDS, LoopSetup, Make, Script


def test_before_a_revocation_stored_messages_are_committed_and_the_others_dropped(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0, 1)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        setup.kafka.append(1, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.append(0, ORDER)
        setup.kafka.append(1, ORDER)
        yield lambda: setup.kafka.positions == {0: 2, 1: 2}
        setup.kafka.at_next_poll(setup.batches.gate.set)
        setup.kafka.rebalance("on_revoke", 1)
        yield lambda: 1 not in setup.kafka.positions
        yield setup.is_committed({0: 2, 1: 1})

    logs = setup.run(script())
    assert setup.batches.finished == [{0: 1, 1: 1}, {0: 2}]
    assert [(each["kind"], each["partitions"]) for each in logs if each["event"] == "partitions changed"] == [
        ("assigned", ["orders-0", "orders-1"]),
        ("revoked", ["orders-1"]),
    ]
    assert setup.sample("rebalances_total", kind="revoked") == 1


def test_a_revocation_does_not_wait_for_a_batch_that_is_retried(make: Make) -> None:
    setup = make(revoke_timeout=SECONDS)
    setup.commit(0, 0)
    setup.store.failures += [StorageUnavailable("unreachable") for _ in range(100)]

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield setup.ingest.is_waiting_to_retry.is_set
        setup.kafka.rebalance("on_revoke", 0)
        yield lambda: setup.kafka.positions == {}

    setup.run(script())
    assert (setup.batches.finished, setup.committed) == ([], {0: 0})


def test_nothing_of_a_lost_partition_is_committed(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0, 1)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        setup.kafka.append(1, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.rebalance("on_lost", 1)
        yield lambda: 1 not in setup.kafka.positions
        setup.batches.gate.set()
        yield setup.is_committed({0: 1, 1: 0})

    setup.run(script())
    assert setup.sample("rebalances_total", kind="lost") == 1


def test_a_commit_that_fails_while_partitions_are_revoked_is_logged(setup: LoopSetup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.failures["commit"] = KafkaError(KafkaError.ILLEGAL_GENERATION)
        setup.kafka.at_next_poll(setup.batches.gate.set)
        setup.kafka.rebalance("on_revoke", 0)
        yield lambda: setup.kafka.positions == {}

    logs = setup.run(script())
    assert ("a commit failed while partitions were revoked", "ILLEGAL_GENERATION") in {
        (each["event"], each.get("code")) for each in logs
    }
    assert setup.sample("commit_failures_total") == 1
