"""What the API replays, on generated topics in librdkafka's mock cluster."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local import broker
from service.app.decoding import uid_reader
from service.config import DocumentSettings, KafkaSettings
from service.entities.dead_letter_headers import Header, read_origin, read_replays
from service.entities.dead_letter_record import DeadLetterId
from service.entities.record import Record
from service.errors import KafkaRequestFailed, KafkaUnavailable, TooManyDeadLetters
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters import replayer as replayer_module
from service.handler.kafka.dead_letters.delivery import ReplaceableProducer
from service.handler.kafka.dead_letters.replayer import Replayer
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.replay import EditedValue, OfOrder, ReplayRefusal, ReplayRequest, ReplayResult, Selected
from service.usecases.selected_replay import MAX_SELECTED
from tests.kit.dlq import Sent, dead_letter, produce

MAX_REPLAYS = 3
UIDS = ["a", "b", "c"]


class Generated(NamedTuple):
    """A dead letter."""

    partition: int
    uid: str
    replays: int
    changes: dict[str, bytes | None]


several = st.lists(
    st.builds(
        Generated,
        partition=st.integers(0, 3),
        uid=st.sampled_from(UIDS),
        replays=st.integers(0, MAX_REPLAYS + 1),
        changes=st.sampled_from([{}, {}, {}, {Header.STUB: b"true"}, {Header.TOPIC: b"other"}, {Header.OFFSET: None}]),
    ),
    min_size=1,
    max_size=8,
)


class Topics:
    """The dead-letter topic and the order topic, and the API's way from one to the other."""

    def __init__(self, kafka: KafkaSettings, consumer: Consumer) -> None:
        self.kafka = kafka
        self._consumer = consumer
        self.replayer = Replayer(
            lambda: Consumer(properties.dead_letter_reader(kafka)),
            ReplaceableProducer(lambda: properties.producer(kafka)),
            subscription=kafka.subscription,
            dead_letter_topic=kafka.dead_letter_topic,
            read_uid=uid_reader(DocumentSettings()),
        )

    def add(self, generated: Sequence[Generated]) -> None:
        sent = [(each.partition, self._sent(number, each)) for number, each in enumerate(generated)]
        for partition in {number for number, _ in sent}:
            produce(self.kafka, *(each for number, each in sent if number == partition), partition=partition)

    def _sent(self, number: int, each: Generated) -> Sent:
        made = dead_letter(self.kafka, number, replays=each.replays, changes=each.changes)
        value = b'{"order_uid": "%s", "number": %d}' % (each.uid.encode(), number)
        return Sent(each.uid.encode(), value, made.headers)

    def dead_letters(self) -> dict[DeadLetterId, Record]:
        topic = open_topic(self._consumer, self.kafka.dead_letter_topic)
        return {DeadLetterId(each.partition, each.offset): each for each in topic.read(topic.starts, lambda: False)}

    def arrived(self) -> list[Record]:
        """Return what arrived in the order topic."""
        topic = open_topic(self._consumer, self.kafka.topic)
        return sorted(topic.read(topic.starts, lambda: False), key=lambda record: record.key or b"")

    def replay(self, request: ReplayRequest) -> tuple[Sequence[ReplayResult], list[Record]]:
        """Return the results, and what arrived meanwhile."""
        before = self.arrived()
        results = asyncio.run(self.replayer.replay(request))
        return results, [record for record in self.arrived() if record not in before]


@pytest.fixture
def topics() -> Iterator[Topics]:
    with broker.mock(["orders", "orders.dlq"]) as server:
        kafka = KafkaSettings(bootstrap_servers=server.bootstrap_servers, properties={"fetch.wait.max.ms": 1})
        with closing(Consumer(properties.silent_consumer(kafka))) as consumer:
            yield Topics(kafka, consumer)


def request(*chosen: DeadLetterId, **changes: Any) -> ReplayRequest:
    return ReplayRequest(Selected(chosen), "desk", MAX_REPLAYS)._replace(**changes)


def may_be_sent(record: Record) -> bool:
    origin, names = read_origin(record.headers), {name for name, _ in record.headers or ()}
    is_replayable = origin is not None and origin.topic == "orders" and Header.STUB not in names
    return is_replayable and read_replays(record.headers) < MAX_REPLAYS


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(generated=several, data=st.data())
def test_a_replay_of_one_dead_letter_never_sends_another(
    topics: Topics, generated: list[Generated], data: st.DataObject
) -> None:
    before = len(topics.dead_letters())
    topics.add(generated)
    existing = topics.dead_letters()
    chosen = [*existing][before + data.draw(st.integers(0, len(generated) - 1))]
    edited = data.draw(st.none() | st.sampled_from(UIDS).map(lambda uid: EditedValue(b'{"edited": 1}', uid)))
    is_dry_run = data.draw(st.booleans())
    (result,), arrived = topics.replay(request(chosen, edited=edited, is_dry_run=is_dry_run))
    record = existing[chosen]
    is_sent = may_be_sent(record) and (edited is None or record.key == edited.order_uid.encode())
    assert result.dead_letter == chosen
    assert (result.refusal is None) == is_sent
    assert [(each.key, each.value, read_origin(each.headers)) for each in arrived] == (
        [(record.key, edited.value if edited else record.value, read_origin(record.headers))]
        if is_sent and not is_dry_run
        else []
    )
    assert topics.dead_letters() == existing


def test_results_are_in_the_order_of_the_request_and_repeated_places_count_once(topics: Topics) -> None:
    topics.add([Generated(0, "a", 0, {}), Generated(1, "b", 0, {Header.STUB: b"true"})])
    places = [DeadLetterId(3, 9), DeadLetterId(1, 0), DeadLetterId(0, 0)]
    results, arrived = topics.replay(request(*places, places[-1]))
    assert results == [(places[0], ReplayRefusal.MISSING), (places[1], ReplayRefusal.STUB), (places[2], None)]
    assert [each.key for each in arrived] == [b"a"]
    assert dict(arrived[0].headers or [])[Header.REPLAYED_BY] == b"desk"


def test_all_dead_letters_of_an_order_are_replayed(topics: Topics) -> None:
    topics.add(
        [
            Generated(0, "a", 0, {}),
            Generated(1, "b", 0, {}),
            Generated(2, "a", MAX_REPLAYS, {}),
            Generated(3, "a", 0, {}),
        ]
    )
    results, arrived = topics.replay(request(which=OfOrder("a")))
    assert results == [((0, 0), None), ((2, 0), ReplayRefusal.REPLAYED_TOO_OFTEN), ((3, 0), None)]
    assert [each.key for each in arrived] == [b"a", b"a"]
    assert topics.replay(request(which=OfOrder("d"))) == ([], [])


def test_successive_replays_keep_to_the_rate(topics: Topics) -> None:
    rate = 20
    topics.add([Generated(0, "a", 0, {})] * (rate + 1))
    places = [DeadLetterId(0, offset) for offset in range(rate + 1)]
    for chosen in (places[:rate], places[rate:]):
        results, _ = topics.replay(request(*chosen, rate=rate))
        assert [refusal for _, refusal in results] == [None] * len(chosen)
    *first, last = sorted(record.timestamp_ms for record in topics.arrived())
    assert last - first[0] >= 950


def test_an_order_with_too_many_dead_letters_is_refused_whole(topics: Topics) -> None:
    topics.add([Generated(0, "a", 0, {})] * (MAX_SELECTED + 1))
    with pytest.raises(TooManyDeadLetters):
        topics.replay(request(which=OfOrder("a")))
    assert topics.arrived() == []


@pytest.mark.parametrize(("rate", "seconds"), [(0, 15), (20, 15 + MAX_SELECTED / 20)])
def test_a_replay_has_more_time_for_the_pauses_of_its_rate(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, rate: float, seconds: float
) -> None:
    given: list[float] = []

    def stop_after(seconds: float) -> AbstractContextManager[ShutdownEvent]:
        given.append(seconds)
        return nullcontext(ShutdownEvent())

    monkeypatch.setattr(replayer_module, "_stop_after", stop_after)
    assert topics.replay(request(rate=rate)) == ([], [])
    assert given == [seconds]


def test_an_outage_may_have_let_dead_letters_through(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    def replay_selected(*_: object) -> Sequence[ReplayResult]:
        raise KafkaUnavailable("no broker")

    monkeypatch.setattr(replayer_module, "replay_selected", replay_selected)
    with pytest.raises(KafkaUnavailable, match=r"^Kafka is unreachable; dead letters may have been sent$"):
        topics.replay(request())


def test_nothing_is_sent_after_the_timeout(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    topics.add([Generated(0, "a", 0, {})])
    stopped = ShutdownEvent()
    stopped.set()
    monkeypatch.setattr(replayer_module, "_stop_after", lambda _: nullcontext(stopped))
    with pytest.raises(KafkaRequestFailed, match="cannot be read in time"):
        topics.replay(request(DeadLetterId(0, 0)))
    assert topics.arrived() == []


def test_a_replay_waits_for_others_but_not_for_long(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayer_module, "QUEUE_TIMEOUT_SECONDS", 0)

    async def replay_twice() -> list[object]:
        return await asyncio.gather(*(topics.replayer.replay(request()) for _ in range(2)), return_exceptions=True)

    first, second = asyncio.run(replay_twice())
    assert first == []
    assert isinstance(second, KafkaUnavailable)
    assert str(second) == "other replays are running"
