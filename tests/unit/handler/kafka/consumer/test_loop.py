"""The loop stores messages before it commits their offsets, also when partitions, PostgreSQL or Kafka change."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Event
from time import monotonic
from typing import Any, cast

import pytest
import structlog
from confluent_kafka import KafkaError, Message, TopicPartition
from msgspec.json import encode
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.app.consumer_loop import LoopDependencies, build_consumer
from service.errors import KafkaClientFailed, StorageUnavailable
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.consumer import reader
from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.decode import Decoder
from service.handler.kafka.consumer.retry_report import RetryReport
from service.metrics import Metrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy
from service.usecases.ingest import Ingest, Outcome, Write
from tests.kit.factories import order_document
from tests.kit.fake_consumer import TOPIC, FakeAdmin, FakeConsumer
from tests.kit.fakes import FakeDeadLetters, FakeStore
from tests.kit.policies import batch_limits, circuit_breaker_policy, consumer_settings, decoding_rules, retry_backoff

SECONDS = 10.0
ORDER = encode(order_document())
BAD = b"{"
OPEN_AFTER_TWO = circuit_breaker_policy(max_consecutive=2)
UNTIL_STOPPED = retry_backoff(initial_backoff=60, max_backoff=60)
END_OF_PARTITION = KafkaError(KafkaError._PARTITION_EOF)

Script = Iterator[Callable[[], bool]]


class ScriptedConsumer(FakeConsumer):
    """Whenever no message is left, runs the script until the next condition that is still false."""

    def __init__(self, properties: dict[str, Any]) -> None:
        super().__init__(properties)
        self.script: Script = iter(())
        self.on_end: Callable[[], None] = lambda: None
        self._condition: Callable[[], bool] = lambda: True
        self._deadline = monotonic() + SECONDS

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Message]:
        messages = super().consume(num_messages, timeout)
        while not messages and self._condition():
            try:
                self._condition = next(self.script)
            except StopIteration:
                self.on_end()
                break
        assert monotonic() < self._deadline, "the script does not continue"
        return messages


class BatchGate:
    """Middleware of Ingest that writes batches while `gate` is open."""

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()
        self.started: list[dict[int, int]] = []
        """By partition: the first offset of each batch."""
        self.finished: list[dict[int, int]] = []
        """By owned partition: the offset to commit of each batch."""

    def __call__(self, write: Write) -> Write:
        def gated(batch: Batch) -> Outcome:
            self.started.append(dict(batch.first_offsets))
            assert self.gate.wait(SECONDS)
            outcome = write(batch)
            self.finished.append(batch.commit_offsets)
            return outcome

        return gated


class Setup:
    """A consumer of a topic on librdkafka's mock cluster, which has no topic ids, and what surrounds it."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        dead_letters: FakeDeadLetters | None = None,
        policy: CircuitBreakerPolicy | None = None,
        **settings: Any,
    ) -> None:
        self.stop = ShutdownEvent()
        self.store = FakeStore()
        self.dead_letters = dead_letters or FakeDeadLetters()
        self.batches = BatchGate()
        self.ingest = Ingest(
            self.store, self.dead_letters, CircuitBreaker(policy or circuit_breaker_policy()), UNTIL_STOPPED, self.stop,
            RetryReport(metrics, structlog.get_logger()), self.batches,
        )  # fmt: skip
        self.admin = FakeAdmin()
        self.metrics = metrics
        self.created: list[ScriptedConsumer] = []
        self.group = ConsumerGroup({"enable.partition.eof": True}, TOPIC)
        decoder = Decoder(
            decoding_rules(), on_unknown=lambda _: None, on_mismatch=lambda _: None, now=lambda: datetime.now(UTC)
        )
        self.consumer = build_consumer(
            LoopDependencies(
                group=self.group,
                connect=cast("Any", self._create),
                admin=cast("Any", self.admin),
                builder=BatchBuilder(decoder, FakeStore.prepare, metrics),
                ingest=self.ingest,
                settings=consumer_settings(**settings),
                metrics=metrics,
                log=structlog.get_logger(),
                stop=self.stop,
            )
        )

    def _create(self, properties: dict[str, Any]) -> ScriptedConsumer:
        made = ScriptedConsumer(properties)
        made.cluster = "mockCluster"
        self.created.append(made)
        return made

    @property
    def kafka(self) -> ScriptedConsumer:
        (made,) = self.created
        return made

    def run(self, script: Script) -> list[EventDict]:
        """Run the consumer until the script ends; return what it logged."""
        self.kafka.script, self.kafka.on_end = script, self.stop.set
        with capture_logs() as logs:
            self.consumer.run()
        return [*logs]

    def commit(self, offset: int, *partitions: int) -> None:
        self.kafka.committed_offsets |= {each: TopicPartition(TOPIC, each, offset) for each in partitions}

    @property
    def committed(self) -> dict[int, int]:
        return self.kafka.committed_by_partition

    def is_committed(self, offsets: dict[int, int]) -> Callable[[], bool]:
        return lambda: self.committed == offsets

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"orders_{name}", labels)


Make = Callable[..., Setup]


@pytest.fixture
def make(metrics: Metrics) -> Make:
    return lambda **settings: Setup(metrics, **settings)


@pytest.fixture
def setup(make: Make) -> Setup:
    """A consumer whose group has committed offset 0 of partitions 0 and 1."""
    made = make()
    made.commit(0, 0, 1)
    return made


def events(logs: list[EventDict]) -> list[str]:
    return [each["event"] for each in logs]


def test_offsets_are_committed_after_their_messages_are_stored(setup: Setup) -> None:
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


def test_the_next_batch_is_read_while_the_previous_one_is_written(setup: Setup) -> None:
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


def test_an_error_of_a_batch_ends_the_loop_and_nothing_is_committed(setup: Setup) -> None:
    setup.store.failures.append(RuntimeError("a bug"))

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield lambda: False

    with pytest.raises(RuntimeError, match="a bug"):
        setup.run(script())
    assert (setup.committed, setup.kafka.is_closed) == ({0: 0, 1: 0}, True)


def test_a_fatal_error_of_the_client_ends_the_loop_and_names_its_cause(setup: Setup) -> None:
    def script() -> Script:
        setup.kafka.call_back("error_cb", KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True))  # noqa: FBT003 - fatal
        yield lambda: False

    with pytest.raises(KafkaClientFailed, match="FENCED_INSTANCE_ID"):
        setup.run(script())
    assert setup.kafka.is_closed


def test_a_stop_commits_the_batch_that_is_being_written_and_leaves_the_group(setup: Setup) -> None:
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


def test_a_batch_that_a_stop_interrupts_is_not_committed(setup: Setup) -> None:
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


def test_after_a_stop_no_batch_is_started(setup: Setup) -> None:
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


def test_before_a_revocation_stored_messages_are_committed_and_the_others_dropped(setup: Setup) -> None:
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
    assert [each["kind"] for each in logs if each["event"] == "partitions changed"] == ["assigned", "revoked"]
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


def test_nothing_of_a_lost_partition_is_committed(setup: Setup) -> None:
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


def test_a_commit_that_fails_while_partitions_are_revoked_is_logged(setup: Setup) -> None:
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


def test_a_failed_commit_is_logged_and_retried(setup: Setup) -> None:
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
    assert (setup.dead_letters.committed, setup.committed) == ([{0: 1}], {0: 0, 1: 0})


def test_dead_letters_and_tombstones_are_counted_and_logged(setup: Setup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, BAD, b"")
        yield setup.is_committed({0: 2, 1: 0})

    logs = setup.run(script())
    assert [
        (each["reason"], each["detail"], each["partition"], each["offset"])
        for each in logs
        if each["event"] == "dead letter"
    ] == [("undecodable", "malformed JSON", 0, 0)]
    assert setup.sample("dead_letters_total", reason="undecodable") == 1
    assert setup.sample("tombstones_total") == 1


def test_fetching_is_paused_during_an_outage_and_resumed_after_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAUSE_AFTER_SECONDS", 0.01)
    setup = make(limits=batch_limits(messages=1))
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
    setup = make(policy=OPEN_AFTER_TWO, breaker_retry_after=0, limits=batch_limits(messages=2))
    setup.commit(0, 0)

    def script() -> Script:
        setup.kafka.append(0, BAD, BAD, ORDER, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 4})
        assert setup.kafka.paused == set()

    logs = setup.run(script())
    assert (setup.batches.started, len(setup.dead_letters.sent)) == ([{0: 0}, {0: 0}], 2)
    assert "the circuit breaker is open: consumption is paused" in events(logs)


def test_messages_of_the_poll_in_which_the_circuit_breaker_opens_are_held_back(make: Make) -> None:
    """A revocation takes the outcome inside a poll, which then returns messages that the client had prefetched."""
    setup = make(policy=OPEN_AFTER_TWO, breaker_retry_after=0)
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


def test_the_end_of_a_partition_is_committed_if_nothing_before_it_is_pending(setup: Setup) -> None:
    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 1
        setup.kafka.add_error(END_OF_PARTITION, 0, 3)  # two transaction markers follow the order
        yield lambda: True
        assert setup.committed == {0: 0, 1: 0}
        setup.batches.gate.set()
        yield setup.is_committed({0: 3, 1: 0})

    setup.run(script())


def test_without_a_committed_offset_reading_starts_at_the_earliest_one(make: Make) -> None:
    setup = make()

    def script() -> Script:
        setup.kafka.logs[0].start = 5
        setup.kafka.append(0, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 6})

    setup.run(script())
    assert setup.sample("offsets_skipped_total") == 0


def test_an_offset_that_was_deleted_from_the_topic_is_reset_and_counted(make: Make) -> None:
    setup = make()
    setup.commit(2, 0)

    def script() -> Script:
        setup.kafka.logs[0].start = 5
        setup.kafka.append(0, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 6})

    setup.run(script())
    assert setup.sample("offsets_skipped_total") == 3


def test_messages_of_a_deleted_topic_are_dropped_when_it_is_recreated(make: Make) -> None:
    setup = make()
    setup.kafka.cluster = "a-broker"
    setup.kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, 0, "topic-id=old")
    setup.group.topic_id = TopicId("old")

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield setup.is_committed({0: 1})
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 2
        setup.admin.answers.append("new")
        setup.kafka.logs[0].values = [ORDER]
        yield lambda: setup.group.topic_id == TopicId("new")
        setup.batches.gate.set()
        yield lambda: setup.kafka.committed_offsets[0].metadata == "topic-id=new"

    setup.run(script())
    assert setup.batches.finished == [{0: 1}, {}, {0: 1}]
    assert setup.committed == {0: 1}
    assert setup.sample("topic_recreations_total") == 1


def test_statistics_say_whether_kafka_is_up(setup: Setup) -> None:
    def script() -> Script:
        setup.kafka.call_back("stats_cb", '{"brokers": {"1": {"state": "UP"}}}')
        yield lambda: setup.sample("dependency_up", dependency="kafka") == 1
        setup.kafka.call_back("stats_cb", '{"brokers": {"1": {"state": "DOWN"}}}')
        yield lambda: setup.sample("dependency_up", dependency="kafka") == 0

    setup.run(script())


def test_statistics_from_before_an_assignment_are_ignored(setup: Setup) -> None:
    partition = {"committed_offset": 7, "lo_offset": 0, "fetch_state": "active", "hi_offset": 9, "ls_offset": 9}
    statistics = encode({"brokers": {}, "topics": {TOPIC: {"partitions": {"0": partition}}}}).decode()

    def script() -> Script:
        setup.kafka.call_back("stats_cb", statistics)
        setup.kafka.rebalance("on_assign", 0)
        yield lambda: 0 in setup.kafka.positions

    setup.run(script())
    assert setup.consumer.shutdown.progress.partitions == {}


def test_the_age_of_the_last_poll_is_known(setup: Setup) -> None:
    has_started = [setup.consumer.has_started]

    def script() -> Script:
        yield lambda: True

    setup.run(script())
    has_started.append(setup.consumer.has_started)
    assert has_started == [False, True]
    assert 0 <= setup.consumer.seconds_since_poll < SECONDS
