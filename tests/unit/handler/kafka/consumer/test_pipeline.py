"""What belongs to the batch that is filled and to the one that is written."""

from collections.abc import Callable
from threading import Event

import pytest
import structlog

from service.handler.kafka.consumer.batch_builder import BatchBuilder
from service.handler.kafka.consumer.flow_control.breaker_control import BreakerControl
from service.handler.kafka.consumer.flow_control.breaker_pause import BreakerPause
from service.handler.kafka.consumer.flow_control.fetch import FetchControl
from service.handler.kafka.consumer.flow_control.state import ConsumerStateMachine
from service.handler.kafka.consumer.partitions.progress import Progress
from service.handler.kafka.consumer.pipeline import BatchPipeline
from service.handler.kafka.consumer.reports.outcome_report import OutcomeReport
from service.handler.kafka.consumer.worker import BatchWorker
from service.metrics import ConsumerMetrics
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from service.usecases.circuit_breaker import BreakerState
from service.usecases.outcome import Decision, Outcome
from service.usecases.ports.ingest import StoreCounts
from tests.kit.decoding import message_decoder
from tests.kit.fake_consumer import FakeConsumer, message
from tests.kit.fakes import FakeStore
from tests.kit.order_partitions import P0, P1
from tests.kit.policies import batch_limits, circuit_breaker_policy


@pytest.fixture
def pipeline(kafka: FakeConsumer, metrics: ConsumerMetrics, progress: Progress) -> BatchPipeline:
    """The pipeline of a consumer that has read partition 0 up to 10. Its writing thread is not started."""
    log = structlog.get_logger()
    progress.start_at({P0: 3})
    progress.reach_end(P0, 10)
    state = ConsumerStateMachine(FetchControl(kafka, metrics.consumption, log))  # type: ignore[arg-type]
    return BatchPipeline(
        builder=BatchBuilder(message_decoder(), FakeStore.prepare, metrics),
        worker=BatchWorker(lambda _: Outcome(StoreCounts()), Event()),
        progress=progress,
        breaker=BreakerControl(
            settings=circuit_breaker_policy(), limits=batch_limits(), state=state, metrics=metrics.consumption, log=log
        ),
        state=state,
        report=OutcomeReport(metrics, log),
        stop=ShutdownEvent(),
    )


def fill(pipeline: BatchPipeline) -> Batch:
    pipeline.add([message(0, 9), message(1, 4)])
    return pipeline.builder.batch


def submit(pipeline: BatchPipeline) -> Batch:
    batch = fill(pipeline)
    pipeline.submit()
    return batch


@pytest.mark.parametrize("begin", [fill, submit])
def test_a_revoked_partition_is_dropped_from_the_batch(
    pipeline: BatchPipeline, begin: Callable[[BatchPipeline], Batch]
) -> None:
    batch = begin(pipeline)
    pipeline.drop(frozenset({P0}))
    assert (batch.commit_offsets, {*pipeline.progress.partitions}) == ({P1: 5}, set())


@pytest.mark.parametrize("begin", [fill, submit])
def test_the_end_of_a_partition_waits_for_its_messages(
    pipeline: BatchPipeline, begin: Callable[[BatchPipeline], Batch]
) -> None:
    begin(pipeline)
    pipeline.advance_to_ends()
    assert pipeline.progress.uncommitted == {}


def test_the_end_of_a_partition_without_messages_is_committed(pipeline: BatchPipeline) -> None:
    pipeline.advance_to_ends()
    assert pipeline.progress.uncommitted == {P0: 10}


def test_ends_that_are_reached_while_the_circuit_breaker_pauses_do_not_count(pipeline: BatchPipeline) -> None:
    pipeline.state.open_breaker(BreakerPause(0, {}))
    pipeline.reach_end(P0, 20)
    pipeline.state.end_pause()
    pipeline.state.on_commit()
    pipeline.advance_to_ends()
    assert pipeline.progress.uncommitted == {P0: 10}


def test_only_partitions_of_which_messages_are_held_back_wait_for_probes(pipeline: BatchPipeline) -> None:
    rejected = Outcome(
        StoreCounts(), decision=Decision.HOLD_BACK, breaker=BreakerState.OPEN_FOR_ALL_ORDERS, problem="rejected"
    )
    pipeline.progress.start_at({P1: 4})
    pipeline.breaker.on_outcome(fill(pipeline), rejected, Batch())
    pipeline.builder.discard({})
    pipeline.state.end_pause()
    pipeline.reach_end(P1, 5)
    pipeline.advance_to_ends()
    assert pipeline.progress.uncommitted == {}
    pipeline.breaker.drop(frozenset({P0}))
    pipeline.advance_to_ends()
    assert pipeline.progress.uncommitted == {P0: 10}


def test_messages_that_arrive_while_the_circuit_breaker_pauses_are_read_again(pipeline: BatchPipeline) -> None:
    pipeline.state.open_breaker(BreakerPause(0, {}))
    pipeline.add([message(0, 7), message(0, 8)])
    assert pipeline.state.breaker_pause is not None
    assert (len(pipeline.builder.batch), pipeline.state.breaker_pause.reread_offsets) == (0, {P0: 7})


def test_the_end_waits_for_a_batch_that_is_written_and_only_for_that(
    pipeline: BatchPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(BatchWorker, "wait_finished", lambda _, timeout: waits.append(timeout))
    assert pipeline.drain(20.0) == 0
    submit(pipeline)
    assert pipeline.drain(20.0) == 2
    assert waits == [0, 20.0]


def test_nothing_is_submitted_after_a_stop(pipeline: BatchPipeline) -> None:
    pipeline.stop.set()
    batch = submit(pipeline)
    assert (pipeline.worker.batch, pipeline.builder.batch) == (None, batch)
