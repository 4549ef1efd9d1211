"""Offsets are committed after their batch is written, one commit at a time, until the broker has acknowledged them."""

from typing import Any

import pytest
import structlog
from confluent_kafka import KafkaError, TopicPartition
from structlog.testing import capture_logs

from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer.partitions.offsets import OffsetCommitter
from service.handler.kafka.consumer.partitions.progress import Progress
from service.metrics import ConsumerMetrics
from service.pkg.log_throttle import LOG_INTERVAL_SECONDS
from service.usecases.batch import Batch
from tests.kit.fake_consumer import TOPIC, FakeConsumer
from tests.kit.fakes import FakeClock
from tests.kit.order_partitions import P0, P1, P2, keyed

FAILED = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT)
PROBLEM = "group rebalance in progress (REBALANCE_IN_PROGRESS)"


class FailedPartition(TopicPartition):
    """The broker's answer to a commit that failed for this partition."""

    error = FAILED


class Committer:
    """Offsets, and the client that commits them and reports the answers."""

    def __init__(
        self, progress: Progress, metrics: ConsumerMetrics, clock: FakeClock, *, is_transactional: bool = False
    ) -> None:
        self.progress = progress
        self.group = ConsumerGroup((TOPIC,), is_transactional=is_transactional)
        self.metrics = metrics
        self.offsets = OffsetCommitter(
            group=self.group, progress=progress, metrics=metrics, log=structlog.get_logger(), now=clock
        )
        self.succeeded: list[bool] = []
        self.logged: list[str] = []
        self.kafka = FakeConsumer({"on_commit": self.answer})

    def answer(self, error: KafkaError | None, partitions: list[Any]) -> None:
        failures = self.failures
        with capture_logs() as logged:
            self.offsets.on_commit(error, partitions)
        self.succeeded.append(self.failures == failures)
        self.logged += [each["event"] for each in logged]

    def advance(self, offsets: dict[int, int]) -> None:
        self.progress.advance(Batch(next_offsets=keyed(offsets), last_timestamps_ms=keyed(offsets)))

    def commit(self) -> None:
        self.offsets.commit(self.kafka)  # type: ignore[arg-type]

    def commit_now(self) -> None:
        self.offsets.commit_now(self.kafka)  # type: ignore[arg-type]

    def poll(self) -> None:
        self.kafka.consume(1, 0)

    @property
    def failures(self) -> float | None:
        return self.metrics.registry.get_sample_value("orders_commit_failures_total")

    @property
    def committed(self) -> dict[int, int]:
        return self.kafka.committed_by_partition


@pytest.fixture
def committer(progress: Progress, metrics: ConsumerMetrics, clock: FakeClock) -> Committer:
    return Committer(progress, metrics, clock)


def test_offsets_are_pending_until_the_broker_has_acknowledged_them(committer: Committer) -> None:
    committer.advance({0: 5, 1: 7})
    committer.commit()
    assert (bool(committer.progress.uncommitted), committer.committed) == (True, {})
    committer.poll()
    assert (bool(committer.progress.uncommitted), committer.progress.is_committed) == (False, True)
    assert (committer.committed, committer.succeeded) == ({0: 5, 1: 7}, [True])


def test_a_commit_names_the_topic_that_was_read(committer: Committer) -> None:
    committer.group.set_topic_id(TOPIC, TopicId("abc"))
    committer.advance({0: 5})
    committer.commit()
    committer.poll()
    assert committer.kafka.committed_offsets[0].metadata == "topic-id=abc"


def test_a_commit_names_the_leader_epoch_of_the_record_before_it(committer: Committer) -> None:
    epochs = {P0: 3, P1: None}
    committer.progress.advance(
        Batch(next_offsets=keyed({0: 5, 1: 7}), last_timestamps_ms=keyed({0: 0, 1: 0}), leader_epochs=epochs)
    )
    committer.commit()
    committer.poll()
    assert [committer.kafka.committed_offsets[each].leader_epoch for each in (0, 1)] == [3, None]


def test_the_end_of_a_partition_is_committed_without_a_leader_epoch(committer: Committer) -> None:
    """The records before it, such as transaction markers, may have a later one."""
    batch = Batch(next_offsets=keyed({0: 5}), last_timestamps_ms=keyed({0: 0}), leader_epochs={P0: 3})
    committer.progress.advance(batch)
    committer.progress.reach_end(P0, 6)
    committer.progress.advance_to_ends([])
    committer.commit()
    committer.poll()
    assert committer.committed == {0: 6}
    assert [committer.kafka.committed_offsets[0].leader_epoch] == [None]


def test_without_pending_offsets_nothing_is_sent(committer: Committer) -> None:
    committer.commit()
    committer.commit_now()
    committer.poll()
    assert committer.succeeded == []


def test_only_one_commit_is_in_flight(committer: Committer) -> None:
    committer.advance({0: 5})
    committer.commit()
    committer.advance({0: 9})
    committer.commit()
    committer.poll()
    assert committer.committed == {0: 5}
    assert committer.progress.uncommitted == {P0: 9}
    committer.commit()
    committer.poll()
    assert (committer.committed, committer.progress.is_committed) == ({0: 9}, True)


def test_a_failed_commit_is_retried_after_a_while(committer: Committer, clock: FakeClock) -> None:
    committer.kafka.commit_errors.append(FAILED)
    committer.advance({0: 5})
    committer.commit()
    committer.poll()
    assert (committer.succeeded, bool(committer.progress.uncommitted)) == ([False], True)
    committer.commit()
    committer.poll()
    assert committer.succeeded == [False]
    clock.advance(0.5)
    committer.commit()
    committer.poll()
    assert (committer.succeeded, committer.committed) == ([False, True], {0: 5})


@pytest.mark.parametrize(("is_transactional", "committed"), [(False, {0: 9, 1: 7}), (True, {})])
def test_a_minute_after_a_failure_all_offsets_are_committed_again(
    *, is_transactional: bool, committed: dict[int, int], metrics: ConsumerMetrics, clock: FakeClock
) -> None:
    """The failed commit may have reached the broker after later ones, and undone them."""
    committer = Committer(Progress(now=clock), metrics, clock, is_transactional=is_transactional)
    committer.kafka.commit_errors.append(KafkaError(KafkaError._TIMED_OUT))
    committer.advance({0: 5, 1: 7})
    committer.commit()
    committer.poll()
    clock.advance(1)
    committer.advance({0: 9})
    committer.commit()
    committer.poll()
    committer.kafka.committed_offsets.clear()
    for _ in range(3):
        clock.advance(30)
        committer.commit()
        committer.poll()
    assert committer.committed == committed
    assert not committer.progress.uncommitted


def test_each_error_of_commits_that_keep_failing_is_logged_once_in_a_while(
    committer: Committer, clock: FakeClock
) -> None:
    committer.advance({0: 5})
    for seconds, error in ((0.5, FAILED), (0.5, FAILED), (LOG_INTERVAL_SECONDS, TIMED_OUT), (1, TIMED_OUT)):
        committer.kafka.commit_errors.append(error)
        committer.commit()
        committer.poll()
        clock.advance(seconds)
    assert (committer.failures, committer.logged) == (4, ["a commit failed and will be retried"] * 3)


def test_a_commit_that_fails_for_one_partition_is_retried_for_that_one(committer: Committer, clock: FakeClock) -> None:
    committer.advance({0: 5, 1: 7})
    committer.answer(None, [TopicPartition(TOPIC, 0, 5), FailedPartition(TOPIC, 1, 7)])
    assert committer.succeeded == [False]
    clock.advance(0.5)
    committer.commit()
    committer.poll()
    assert committer.committed == {1: 7}


@pytest.mark.parametrize(("error", "partitions", "partition"), [
    (FAILED, [], None),
    (None, [TopicPartition(TOPIC, 0, 5), FailedPartition(TOPIC, 2, 7), FailedPartition(TOPIC, 1, 7)], 2),
    (KafkaError(KafkaError._FAIL), [FailedPartition(TOPIC, 1, 7)], 1),
])  # fmt: skip
def test_a_failed_commit_is_logged_with_the_first_partition_that_failed_and_why(
    committer: Committer, error: KafkaError | None, partitions: list[TopicPartition], partition: int | None
) -> None:
    with capture_logs() as logged:
        committer.offsets.on_commit(error, partitions)
    assert logged == [
        {
            "event": "a commit failed and will be retried", "log_level": "warning",
            "topic": None if partition is None else TOPIC, "partition": partition,
            "code": "REBALANCE_IN_PROGRESS", "problem": PROBLEM,
            "hint": "no action needed unless it repeats: the group rebalances, and the next owner repeats the batch",
        }
    ]  # fmt: skip


def test_before_a_revocation_offsets_are_sent_even_if_a_commit_is_in_flight_or_has_failed(committer: Committer) -> None:
    committer.kafka.commit_errors.append(FAILED)
    committer.advance({0: 5})
    committer.commit()
    committer.advance({1: 7})
    committer.commit_now()
    committer.poll()
    assert committer.committed == {0: 5, 1: 7}


def test_a_commit_that_the_client_rejects_before_a_revocation_is_counted_and_logged(committer: Committer) -> None:
    committer.kafka.failures["commit"] = FAILED
    committer.advance({0: 5})
    with capture_logs() as logged:
        committer.commit_now()
    assert [(each["event"], each["code"], each["problem"]) for each in logged] == [
        ("a commit failed while partitions were revoked", "REBALANCE_IN_PROGRESS", PROBLEM)
    ]
    assert committer.failures == 1


def test_offsets_of_a_revoked_partition_are_not_committed(committer: Committer) -> None:
    committer.advance({0: 5, 1: 7})
    committer.progress.drop(frozenset({P1, P2}))
    committer.commit()
    committer.poll()
    assert committer.committed == {0: 5}
    assert (bool(committer.progress.uncommitted), committer.progress.is_committed) == (False, False)


def test_abandoned_offsets_are_never_committed(committer: Committer) -> None:
    committer.advance({0: 5, 1: 7})
    committer.progress.abandon()
    committer.commit()
    committer.poll()
    assert committer.committed == {}
    assert (bool(committer.progress.uncommitted), committer.progress.is_committed) == (False, False)


def test_the_answer_to_a_commit_of_an_older_offset_does_not_end_the_wait(committer: Committer) -> None:
    committer.advance({0: 9})
    committer.answer(None, [TopicPartition(TOPIC, 0, 5)])
    assert (committer.succeeded, bool(committer.progress.uncommitted)) == ([True], True)


def test_the_duration_of_a_commit_is_measured(committer: Committer, clock: FakeClock) -> None:
    committer.advance({0: 5})
    committer.commit()
    clock.advance(1.5)
    committer.poll()
    sample = committer.metrics.registry.get_sample_value
    assert sample("orders_batch_seconds_sum", {"stage": "commit"}) == 1.5
