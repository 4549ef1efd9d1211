"""A process that replays dead letters, with the product's use cases, reader and producer, and simulated clients."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple, cast

from service.entities.dead_letter import Reason
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.errors import CommandFailed
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import TopicReader, open_committable_topic, open_topic
from service.handler.kafka.dead_letters.replay import KafkaReplaySource, ReplayProducer, partition_lookup
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import (
    DEFAULT_MAX_REPLAYS,
    EditedValue,
    OfOrder,
    ReplayRefusal,
    ReplayRequest,
    Selected,
)
from service.usecases.replay import Replay, ReplayPlan
from service.usecases.selected_replay import replay_selected
from tests.simulation.admin import SimulatedAdmin
from tests.simulation.broker import Broker
from tests.simulation.coordinator import Coordinator
from tests.simulation.member import DEAD_LETTER_TOPIC, KAFKA, decoder
from tests.simulation.operation import Attempt, connected_consumer
from tests.simulation.partition_log import Entry
from tests.simulation.plan import Stage
from tests.simulation.planned_operations import PlannedReplay, Replayed
from tests.simulation.producer import SimulatedProducer
from tests.simulation.replay_checker import ReplayChecker
from tests.simulation.timeline import Timeline

DELIVERY_TIMEOUT_SECONDS: Final = 10.0
"""Instead of half a minute."""
_USER: Final = "simulation"
WRONG_EDITS: Final = 5
"""One edit in so many names another order."""
_REASONS: Final[Mapping[Replayed, frozenset[str]]] = defaultdict(
    frozenset, {Replayed.REJECTED: frozenset({Reason.REJECTED.value})}
)


class SimulatedReplay:
    """One replay: `orders dlq replay` or, for selected dead letters, `POST /dead-letters/replay`."""

    def __init__(self, planned: PlannedReplay, broker: Broker, checker: ReplayChecker) -> None:
        self._planned = planned
        self._broker = broker
        self._checker = checker
        self._plan = ReplayPlan(KAFKA.subscription, DeadLetterFilters(_REASONS[planned.which]), rate=planned.rate)
        self._group = self._plan.group(KAFKA.group_id)
        on_commit = partial(checker.on_commit, self._plan.filters.reasons)
        broker.add_group(self._group, Coordinator(lambda: broker.keys(DEAD_LETTER_TOPIC), 0, 0, on_commit))

    def run(self, attempt: Attempt) -> None:
        """Raise OrdersError unless everything is sent, or refused."""
        is_selected = self._planned.which in {Replayed.EDITED, Replayed.OF_ORDER}
        with attempt.within(Stage.REPLAY_READING):
            (self._replay_selected if is_selected else self._replay_new)(attempt)
        if attempt.stop.is_set():
            raise CommandFailed("interrupted before the end")

    def _replay_new(self, attempt: Attempt) -> None:
        before = self._checker.to_send(self._plan.filters.reasons)
        group = {"group.id": self._group}
        with closing(connected_consumer(self._broker, attempt, properties.silent_consumer(KAFKA) | group)) as consumer:
            topic = open_committable_topic(consumer, DEAD_LETTER_TOPIC, cast("Any", SimulatedAdmin(self._broker)))
            replay = Replay(self._plan, _Source(topic, attempt), _Observer(self._broker.timeline), attempt.stop)
            replay.run(self._target(attempt, consumer))
        if not attempt.stop.is_set():
            self._checker.verify_sent(before)

    def _replay_selected(self, attempt: Attempt) -> None:
        """Replay one of the present dead letters with an edit, or those of its order."""
        if not (present := self._checker.with_an_order() or self._checker.readable()):
            return
        partition, entry = present[self._planned.target % len(present)]
        uid = self._checker.item(entry).uid
        if self._planned.which is Replayed.OF_ORDER:
            before = self._checker.to_send_of(uid)
            self._request(ReplayRequest(OfOrder(uid), _USER, DEFAULT_MAX_REPLAYS, rate=self._planned.rate), attempt)
            self._checker.verify_sent(before)
        else:
            edited = self._edit(entry)
            selected = Selected([DeadLetterId(partition, entry.offset)])
            self._request(ReplayRequest(selected, _USER, DEFAULT_MAX_REPLAYS, edited), attempt)

    def _edit(self, entry: Entry) -> EditedValue:
        """Return a valid document, now and then of another order."""
        item = self._checker.item(entry)
        if self._planned.target % WRONG_EDITS == 0:
            item = replace(item, uid=f"not-{item.uid}")
        else:
            self._checker.on_edited(item)
        return EditedValue(item.valid_value, item.uid)

    def _request(self, request: ReplayRequest, attempt: Attempt) -> None:
        with closing(connected_consumer(self._broker, attempt, properties.dead_letter_reader(KAFKA))) as consumer:
            source = _Source(open_topic(consumer, DEAD_LETTER_TOPIC), attempt)
            target = self._target(attempt, consumer)
            results = replay_selected(request, KAFKA.subscription, source, target, attempt.stop, _read_uid)
        for dead_letter, refusal in results:
            self._broker.timeline.add(f"{dead_letter}: {refusal.code if refusal else 'sent'}")

    def _target(self, attempt: Attempt, consumer: Any) -> "_Target":
        timeout = {"message.timeout.ms": round(DELIVERY_TIMEOUT_SECONDS * 1_000)}
        producer: Any = SimulatedProducer(self._broker, properties.producer(KAFKA) | timeout)
        partitions = partition_lookup(KAFKA.subscription, consumer)
        target = ReplayProducer(
            producer, partitions, attempt.stop, replayed_by=_USER, delivery_timeout=DELIVERY_TIMEOUT_SECONDS
        )
        return _Target(target, attempt, self._checker)


def _read_uid(dead_letter: DeadLetterRecord) -> str | None:
    return decoder().read_uid(dead_letter.value or b"", dead_letter.headers)


class _Observer(NamedTuple):
    """Implements usecases.ports.replay.ReplayObserver."""

    timeline: Timeline

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        self.timeline.add(f"{dead_letter.id}: sent")

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        self.timeline.add(f"{dead_letter}: {refusal.code}")


class _Source(KafkaReplaySource):
    """Records that offsets are committed."""

    def __init__(self, topic: TopicReader, attempt: Attempt) -> None:
        super().__init__(topic, attempt.stop)
        self._attempt = attempt

    def commit(self, offsets: Mapping[int, int]) -> None:
        with self._attempt.within(Stage.REPLAY_COMMITTING):
            super().commit(offsets)


class _Target(NamedTuple):
    """Verifies that everything acknowledged is in the topic. Implements usecases.ports.replay.ReplayTarget."""

    producer: ReplayProducer
    attempt: Attempt
    checker: ReplayChecker

    def send(self, dead_letters: Sequence[DeadLetterRecord]) -> Sequence[DeadLetterRecord]:
        with self.attempt.within(Stage.REPLAY_SENDING):
            too_large = self.producer.send(dead_letters)
        self.checker.on_acknowledged([each for each in dead_letters if each not in too_large])
        return too_large
