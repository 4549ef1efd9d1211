"""Dead letters and offsets in one Kafka transaction, whatever the broker answers or leaves unanswered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import CommandError, DeadLettersUnavailable, GroupChanged
from service.handler.kafka.client.record import Record
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters import transactional as transactions
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.usecases.batch import Batch

AWAY = KafkaError._TIMED_OUT
TOPIC_ID = TopicId("03khuBS4QPyPcMhe5ZSsuQ")


@dataclass
class FakeKafka:
    """A broker with one group; `nemesis` are errors by call, each raised once, `lost_answers` after it took effect."""

    committed: dict[int, int] = field(default_factory=dict)
    visible: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    nemesis: dict[str, KafkaError] = field(default_factory=dict)
    lost_answers: set[str] = field(default_factory=set)
    largest: int = 10_000
    cluster: str = "abc"
    calls: list[str] = field(default_factory=list)
    answers: Event = field(default_factory=Event)
    """Cleared, offsets are sent without end."""
    on_metadata: Callable[[], None] = lambda: None
    topic_id: TopicId = TOPIC_ID
    committed_topic_id: TopicId = TOPIC_ID
    """The one with which offsets were committed."""

    def __post_init__(self) -> None:
        self.answers.set()

    def call(self, name: str, effect: Callable[[], None] = lambda: None) -> None:
        self.calls.append(name)
        if error := self.nemesis.pop(name, None):
            raise KafkaException(error)
        effect()
        if name in self.lost_answers:
            self.lost_answers.remove(name)
            raise KafkaException(KafkaError(AWAY))


class FakeMember:
    """Of the group, unless `kafka.on_metadata` says otherwise."""

    topic_id = TOPIC_ID

    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka

    @property
    def metadata(self) -> bytes:
        self._kafka.on_metadata()
        return b"metadata"

    def have_committed(self, offsets: dict[int, int], topic_id: TopicId) -> bool:
        self._kafka.call("committed")
        return topic_id == self._kafka.committed_topic_id and offsets.items() <= self._kafka.committed.items()

    def require_topic(self, topic_id: TopicId) -> None:
        if self._kafka.topic_id != topic_id:
            raise GroupChanged("recreated")

    def reject_mock(self) -> None:
        if self._kafka.cluster == "mockCluster":
            raise CommandError("not the mock")

    def offsets_to_commit(self, offsets: dict[int, int], topic_id: TopicId) -> list[TopicPartition]:
        return [
            TopicPartition("orders", partition, offset, topic_id.commit_metadata)
            for partition, offset in offsets.items()
        ]


class FakeProducer:
    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka
        self._dead_letters: list[tuple[bytes | None, bytes]] = []
        self._offsets: dict[int, int] = {}
        self._reports: list[tuple[Callable[..., None], KafkaError | None]] = []
        self._must_abort = False

    def init_transactions(self, _: float) -> None:
        self._kafka.call("init")

    def begin_transaction(self) -> None:
        self._reports, self._must_abort = [], False
        self._kafka.call("begin")

    def produce(
        self,
        _: str,
        value: bytes,
        key: bytes | None,
        _partition: int,
        *,
        headers: Any,
        on_delivery: Callable[..., None],
    ) -> None:
        assert headers
        is_too_large = len(value) > self._kafka.largest
        error = (
            KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if is_too_large else self._kafka.nemesis.pop("dead letter", None)
        )
        self._reports.append((on_delivery, error))
        self._dead_letters.append((key, value))

    def flush(self, _: float) -> int:
        """Report the messages one by one. After a rejected one, the client reports none of the others."""
        while self._reports and not self._must_abort:
            report, error = self._reports.pop(0)
            self._must_abort = error is not None
            report(error, None)
        return len(self._reports)

    def send_offsets_to_transaction(self, topic_partitions: list[TopicPartition], metadata: bytes, _: float) -> None:
        assert metadata == b"metadata"
        self._kafka.answers.wait()
        self._offsets = {each.partition: each.offset for each in topic_partitions}
        self._kafka.call("offsets")

    def commit_transaction(self, _: float) -> None:
        self._kafka.call("commit", self._take_effect)

    def abort_transaction(self, _: float) -> None:
        self._dead_letters, self._offsets = [], {}
        self._kafka.call("abort")

    def purge(self) -> None:
        self._reports.clear()
        self._kafka.call("purge")

    def _take_effect(self) -> None:
        self._kafka.visible += self._dead_letters
        self._kafka.committed |= self._offsets
        self._dead_letters, self._offsets = [], {}


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()


@pytest.fixture
def dead_letters(kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch) -> TransactionalDeadLetters:
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: FakeProducer(kafka))
    member: Any = FakeMember(kafka)
    return TransactionalDeadLetters({}, "orders.dlq", DeadLetterEncoder("orders"), member)


def batch(*partitions: int, value: bytes = b"faulty") -> Batch:
    """Return a batch of one faulty message for each partition."""
    filled = Batch()
    for partition in partitions:
        record = Record("orders", partition, 7, 1_000, b"key-%d" % partition, value, [])
        filled.track(partition, 7, 1_000, 10)
        filled.add_dead_letter(DeadLetter(record, partition, Reason.INVALID, "sm_id: is missing"))
    return filled


def send(dead_letters: TransactionalDeadLetters, of: Batch) -> None:
    """Repeat as the retry does."""
    for _ in range(5):
        try:
            dead_letters.send_and_commit(of, of.dead_letters)
        except DeadLettersUnavailable:
            continue
        return
    raise AssertionError("it is not sent in five attempts")


def test_dead_letters_and_offsets_are_committed_together(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    send(dead_letters, batch(0, 1))
    assert kafka.visible == [(b"key-0", b"faulty"), (b"key-1", b"faulty")]
    assert kafka.committed == {0: 8, 1: 8}
    assert kafka.calls == ["init", "begin", "offsets", "commit"]


def test_dead_letters_of_a_recreated_topic_are_not_sent_until_it_is_read_again(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    of = batch(0)
    kafka.topic_id = TopicId("recreated")
    with pytest.raises(DeadLettersUnavailable, match="recreated"):
        dead_letters.send_and_commit(of, of.dead_letters)
    assert (kafka.visible, kafka.committed, kafka.calls) == ([], {}, ["init"])
    of.drop(frozenset({0}))
    send(dead_letters, of)
    assert (kafka.visible, kafka.committed) == ([], {})


@pytest.mark.parametrize("call", ["begin", "offsets", "commit"])
def test_what_fails_is_aborted_and_begun_again(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, call: str
) -> None:
    kafka.nemesis[call] = KafkaError(KafkaError.ILLEGAL_GENERATION)
    with pytest.raises(DeadLettersUnavailable, match="ILLEGAL_GENERATION"):
        dead_letters.send_and_commit(batch(0), batch(0).dead_letters)
    assert (kafka.visible, kafka.committed, kafka.calls[-1]) == ([], {}, "abort")
    send(dead_letters, batch(0))
    assert (len(kafka.visible), kafka.committed) == (1, {0: 8})


def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.lost_answers.add("commit")
    send(dead_letters, batch(0, 1))
    assert len(kafka.visible) == 2
    assert kafka.calls == ["init", "begin", "offsets", "commit", "purge", "init", "committed"]


def test_a_lookup_of_a_lost_commit_is_repeated_until_kafka_answers(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.lost_answers.add("commit")
    kafka.nemesis["committed"] = KafkaError(AWAY)
    send(dead_letters, batch(0))
    assert (len(kafka.visible), kafka.committed) == (1, {0: 8})
    assert kafka.calls[-2:] == ["init", "committed"]


def test_a_lost_commit_of_revoked_partitions_is_not_looked_up(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.lost_answers.add("commit")
    revoked = batch(0)
    with pytest.raises(DeadLettersUnavailable, match="timed out"):
        dead_letters.send_and_commit(revoked, revoked.dead_letters)
    revoked.drop(frozenset({0}))
    dead_letters.send_and_commit(revoked, revoked.dead_letters)
    assert kafka.calls[-1] == "init"


def test_a_commit_that_was_never_made_is_made_by_the_next_producer(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.nemesis["commit"] = KafkaError(AWAY)
    send(dead_letters, batch(0, 1))
    assert (len(kafka.visible), kafka.committed) == (2, {0: 8, 1: 8})
    assert kafka.calls[5:] == ["init", "committed", "begin", "offsets", "commit"]


def test_a_commit_of_the_deleted_topic_does_not_stand_for_one_of_the_recreated_topic(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.committed, kafka.committed_topic_id = {0: 8}, TopicId("deleted")
    kafka.nemesis["commit"] = KafkaError(AWAY)
    send(dead_letters, batch(0))
    assert (len(kafka.visible), kafka.calls[-1]) == (1, "commit")


def test_a_call_that_never_returns_is_left_behind_with_its_producer(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_CALL_TIMEOUT_SECONDS", -0.99)
    kafka.answers.clear()
    with pytest.raises(DeadLettersUnavailable, match="_TIMED_OUT"):
        dead_letters.send_and_commit(batch(0), batch(0).dead_letters)
    kafka.answers.set()
    monkeypatch.undo()
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: FakeProducer(kafka))
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert (len(kafka.visible), kafka.committed) == (1, {0: 8})


def test_an_abort_that_fails_costs_the_producer(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    kafka.nemesis |= {"offsets": KafkaError(KafkaError.UNKNOWN_MEMBER_ID), "abort": KafkaError(AWAY)}
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert len(kafka.visible) == 1


def test_a_producer_that_gets_nothing_through_is_replaced(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.nemesis["dead letter"] = KafkaError(KafkaError._MSG_TIMED_OUT)
    send(dead_letters, batch(0))
    assert (kafka.calls.count("init"), len(kafka.visible)) == (2, 1)


def test_a_producer_that_has_failed_for_good_is_replaced(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    fatal = KafkaError(KafkaError.INVALID_TXN_STATE, "invalid state", True)  # noqa: FBT003 - its third: fatal
    kafka.nemesis |= {"commit": fatal, "purge": fatal}
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert (len(kafka.visible), kafka.committed) == (1, {0: 8})


def test_what_was_taken_away_is_left_to_its_next_owner(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    both = batch(0, 1)
    both.drop(frozenset({1}))
    send(dead_letters, both)
    assert (kafka.visible, kafka.committed) == ([(b"key-0", b"faulty")], {0: 8})
    both.drop(frozenset({0}))
    send(dead_letters, both)
    assert kafka.calls.count("begin") == 1


def test_group_metadata_is_read_before_the_partitions(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    """A partition revoked in between belongs to the older generation. In the other order it would be committed."""
    taken = batch(0, 1)
    kafka.on_metadata = lambda: taken.drop(frozenset({1}))
    send(dead_letters, taken)
    assert kafka.committed == {0: 8}


def test_a_dead_letter_that_is_too_large_becomes_smaller_with_each_attempt(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.largest = 500
    send(dead_letters, batch(0, value=b"x" * 1_000))
    ((_, value),) = kafka.visible
    assert b'"size":1000' in value


def test_a_batch_of_too_large_dead_letters_is_delivered_as_stubs(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    """After a rejected message, the client reports no other message of the transaction."""
    kafka.largest = 500
    large = batch(*range(8), value=b"x" * 1_000)
    dead_letters.send_and_commit(large, large.dead_letters)
    assert len(kafka.visible) == 8
    assert all(b'"size":1000' in value for _, value in kafka.visible)


def test_the_mock_broker_is_refused(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    kafka.cluster = "mockCluster"
    with pytest.raises(CommandError, match="not the mock"):
        dead_letters.send_and_commit(batch(0), [])


def test_without_a_membership_nothing_is_begun(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    def refuse() -> None:
        raise GroupChanged("not a member")

    send(dead_letters, batch(0))
    kafka.on_metadata = refuse
    with pytest.raises(DeadLettersUnavailable, match="not a member"):
        dead_letters.send_and_commit(batch(1), batch(1).dead_letters)
    assert kafka.calls == ["init", "begin", "offsets", "commit"]


def test_what_is_not_committed_is_forgotten_at_the_end(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    send(dead_letters, batch(0))
    dead_letters.close()
    dead_letters.close()
    send(dead_letters, batch(1))
    assert kafka.calls.count("init") == 2
