"""Dead letters and offsets in one Kafka transaction, whatever the broker answers or leaves unanswered."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from service.entities.dead_letter import DeadLetter, Reason
from service.entities.record import Record
from service.errors import DeadLettersUnavailable
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.client.topic_id import TopicId
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters import transactional as transactions
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.usecases.batch import Batch
from tests.kit.fake_consumer import TOPIC, FakeAdmin, FakeConsumer
from tests.kit.fake_producer import UNANSWERED, FakeKafka, FakeProducer
from tests.kit.order_partitions import P0, P1

TOPIC_ID = "03khuBS4QPyPcMhe5ZSsuQ"


class GroupClient(FakeConsumer):
    """A client of the group that records its requests with the producer's."""

    def committed(self, partitions: Sequence[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        self.kafka.call("committed")
        return super().committed(partitions, timeout)

    def __init__(self, kafka: FakeKafka) -> None:
        super().__init__()
        self.kafka = kafka
        self.generation = 1


class ObservedGroup(ConsumerGroup):
    """The group of a member, and the fake's clients. `on_metadata` is called whenever the metadata is read."""

    def __init__(self, kafka: FakeKafka) -> None:
        super().__init__((TOPIC,), is_transactional=True)
        self.client = GroupClient(kafka)
        self.admin = FakeAdmin(TOPIC_ID)
        self.set_topic_id(TOPIC, TopicId(TOPIC_ID))
        self.on_metadata: Callable[[], None] = lambda: None
        self.join(1)

    def join(self, generation: int) -> None:
        self.client.generation = generation
        self.refresh(self.client)  # type: ignore[arg-type]

    @property
    def metadata(self) -> bytes:
        self.on_metadata()
        return super().metadata


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()


@pytest.fixture
def group(kafka: FakeKafka) -> ObservedGroup:
    made = ObservedGroup(kafka)
    kafka.group = made.client
    return made


@pytest.fixture
def dead_letters(kafka: FakeKafka, group: ObservedGroup, monkeypatch: pytest.MonkeyPatch) -> TransactionalDeadLetters:
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: FakeProducer(kafka))
    clients: Any = group
    checks = TransactionChecks(clients.admin, lambda: clients.client)
    return TransactionalDeadLetters(dict, "orders.dlq", DeadLetterEncoder("orders"), group, checks)


def committed(kafka: FakeKafka) -> dict[int, int]:
    return kafka.group.committed_by_partition


def batch(*partitions: int, value: bytes = b"faulty", key: bytes = b"key") -> Batch:
    """Return a batch of one faulty message for each partition."""
    filled = Batch()
    for partition in partitions:
        record = Record("orders", partition, 7, 1_000, b"%b-%d" % (key, partition), value, [])
        filled.track(record)
        filled.add_dead_letter(DeadLetter(record, Reason.INVALID, "sm_id: is missing"))
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
    both = batch(0, 1)
    assert dead_letters.send_and_commit(both, both.dead_letters) is True
    assert kafka.visible == [(b"key-0", b"faulty"), (b"key-1", b"faulty")]
    assert committed(kafka) == {0: 8, 1: 8}
    assert kafka.calls == ["init", "begin", "offsets", "commit"]


def test_dead_letters_of_a_recreated_topic_are_not_sent_until_it_is_read_again(
    kafka: FakeKafka, group: ObservedGroup, dead_letters: TransactionalDeadLetters
) -> None:
    of = batch(0)
    group.admin.topic_id = "recreated"
    with pytest.raises(DeadLettersUnavailable, match="was deleted and created again") as raised:
        dead_letters.send_and_commit(of, of.dead_letters)
    assert "no action needed" in (raised.value.hint or "")
    assert (kafka.visible, committed(kafka), kafka.calls) == ([], {}, ["init"])
    of.drop(frozenset({P0}))
    send(dead_letters, of)
    assert (kafka.visible, committed(kafka)) == ([], {})


@pytest.mark.parametrize("call", ["begin", "offsets", "commit"])
def test_a_failed_transaction_is_aborted_and_repeated(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, call: str
) -> None:
    kafka.failures[call] = KafkaError(KafkaError.ILLEGAL_GENERATION)
    with pytest.raises(DeadLettersUnavailable, match="ILLEGAL_GENERATION") as raised:
        dead_letters.send_and_commit(batch(0), batch(0).dead_letters)
    assert "the group rebalances" in (raised.value.hint or "")
    assert (kafka.visible, committed(kafka), kafka.calls[-1]) == ([], {}, "abort")
    send(dead_letters, batch(0))
    assert (len(kafka.visible), committed(kafka)) == (1, {0: 8})


@pytest.mark.parametrize("call", ["commit", "abort"])
def test_the_end_of_a_transaction_is_repeated_after_a_retriable_error(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, call: str
) -> None:
    kafka.failures[call] = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, "", False, True)  # noqa: FBT003 - retriable
    if call == "abort":
        kafka.failures["offsets"] = KafkaError(KafkaError.ILLEGAL_GENERATION)
    send(dead_letters, batch(0))
    assert (len(kafka.visible), committed(kafka)) == (1, {0: 8})
    assert (kafka.calls.count(call), kafka.calls.count("init")) == (2, 1)


def test_acknowledgements_that_take_several_polls_are_awaited(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.slow_flushes = 3
    send(dead_letters, batch(0))
    assert kafka.calls == ["init", "begin", "offsets", "commit"]


def test_dead_letters_that_are_not_acknowledged_in_time_are_sent_by_the_next_producer(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TRANSACTION_CALL_TIMEOUT_SECONDS", 0.0)
    kafka.slow_flushes = 1
    with pytest.raises(DeadLettersUnavailable, match="_TIMED_OUT"):
        dead_letters.send_and_commit(batch(0), batch(0).dead_letters)
    assert kafka.calls == ["init", "begin", "purge"]


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
    kafka.failures["committed"] = KafkaError(UNANSWERED)
    send(dead_letters, batch(0))
    assert (len(kafka.visible), committed(kafka)) == (1, {0: 8})
    assert kafka.calls[-2:] == ["init", "committed"]


def test_a_lost_commit_of_revoked_partitions_is_not_looked_up(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.lost_answers.add("commit")
    revoked = batch(0)
    with pytest.raises(DeadLettersUnavailable, match="timed out"):
        dead_letters.send_and_commit(revoked, revoked.dead_letters)
    revoked.drop(frozenset({P0}))
    dead_letters.send_and_commit(revoked, revoked.dead_letters)
    assert kafka.calls[-1] == "init"


def test_a_commit_that_was_never_made_is_made_by_the_next_producer(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.failures["commit"] = KafkaError(UNANSWERED)
    send(dead_letters, batch(0, 1))
    assert (len(kafka.visible), committed(kafka)) == (2, {0: 8, 1: 8})
    assert kafka.calls[5:] == ["init", "committed", "begin", "offsets", "commit"]


def test_a_commit_of_the_deleted_topic_does_not_stand_for_one_of_the_recreated_topic(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.group.committed_offsets[0] = TopicPartition(TOPIC, 0, 8, TopicId("deleted").commit_metadata)
    kafka.failures["commit"] = KafkaError(UNANSWERED)
    send(dead_letters, batch(0))
    assert (len(kafka.visible), kafka.calls[-1]) == (1, "commit")


def test_a_call_that_never_returns_is_abandoned_with_its_producer(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "TRANSACTION_CALL_TIMEOUT_SECONDS", -0.99)
    kafka.answers.clear()
    with pytest.raises(DeadLettersUnavailable, match="_TIMED_OUT"):
        dead_letters.send_and_commit(batch(0), batch(0).dead_letters)
    kafka.answers.set()
    monkeypatch.undo()
    monkeypatch.setattr(delivery, "Producer", lambda *_, **__: FakeProducer(kafka))
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert (len(kafka.visible), committed(kafka)) == (1, {0: 8})


def test_a_producer_whose_abort_fails_is_replaced(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    kafka.failures |= {"offsets": KafkaError(KafkaError.UNKNOWN_MEMBER_ID), "abort": KafkaError(UNANSWERED)}
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert len(kafka.visible) == 1


def test_a_producer_whose_transactional_id_has_expired_is_replaced(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    send(dead_letters, batch(0))
    kafka.failures["offsets"] = KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING)
    send(dead_letters, batch(1))
    assert (kafka.calls.count("init"), len(kafka.visible)) == (2, 2)


def test_a_producer_whose_messages_time_out_is_replaced(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.failures["produce"] = KafkaError(KafkaError._MSG_TIMED_OUT)
    send(dead_letters, batch(0))
    assert (kafka.calls.count("init"), len(kafka.visible)) == (2, 1)


def test_a_producer_with_a_fatal_error_is_replaced(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    fatal = KafkaError(KafkaError.INVALID_TXN_STATE, "invalid state", True)  # noqa: FBT003 - its third: fatal
    kafka.failures |= {"commit": fatal, "purge": fatal}
    send(dead_letters, batch(0))
    assert kafka.calls.count("init") == 2
    assert (len(kafka.visible), committed(kafka)) == (1, {0: 8})


def test_messages_of_revoked_partitions_are_left_to_their_next_owner(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    both = batch(0, 1)
    both.drop(frozenset({P1}))
    send(dead_letters, both)
    assert (kafka.visible, committed(kafka)) == ([(b"key-0", b"faulty")], {0: 8})
    both.drop(frozenset({P0}))
    send(dead_letters, both)
    assert kafka.calls.count("begin") == 1


def test_group_metadata_is_read_before_the_partitions(
    kafka: FakeKafka, group: ObservedGroup, dead_letters: TransactionalDeadLetters
) -> None:
    """A partition revoked in between belongs to the older generation. In the other order it would be committed."""
    taken = batch(0, 1)
    group.on_metadata = lambda: taken.drop(frozenset({P1}))
    send(dead_letters, taken)
    assert committed(kafka) == {0: 8}


@pytest.mark.parametrize(
    ("large", "key", "size"),
    [(batch(0, value=b"x" * 1_000), b"key-0", b'"size":1000'), (batch(0, key=b"k" * 1_000), None, b'"size":6')],
    ids=["value", "key"],
)
def test_a_dead_letter_that_is_too_large_becomes_smaller_with_each_attempt(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters, large: Batch, key: bytes | None, size: bytes
) -> None:
    kafka.max_message_bytes = 500
    send(dead_letters, large)
    ((sent_key, value),) = kafka.visible
    assert sent_key == key
    assert size in (value or b"")


def test_a_dead_letter_that_was_too_large_is_sent_whole_when_it_fits(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.max_message_bytes = 500
    send(dead_letters, batch(0, value=b"x" * 1_000))
    kafka.max_message_bytes = 2_000
    send(dead_letters, batch(0, value=b"x" * 1_000))
    assert kafka.visible[-1] == (b"key-0", b"x" * 1_000)


def test_dead_letters_that_are_too_large_even_as_stubs_are_kept(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    kafka.max_message_bytes = 1
    large = batch(0, 1)
    with pytest.raises(DeadLettersUnavailable, match="MSG_SIZE_TOO_LARGE") as raised:
        dead_letters.send_and_commit(large, large.dead_letters)
    assert (raised.value.unsent, kafka.visible, committed(kafka)) == (large.dead_letters, [], {})


def test_a_batch_of_too_large_dead_letters_is_delivered_as_stubs(
    kafka: FakeKafka, dead_letters: TransactionalDeadLetters
) -> None:
    """After a rejected message, the client drops the others of the transaction."""
    kafka.max_message_bytes = 500
    large = batch(*range(8), value=b"x" * 1_000)
    dead_letters.send_and_commit(large, large.dead_letters)
    assert len(kafka.visible) == 8
    assert all(b'"size":1000' in (value or b"") for _, value in kafka.visible)


def test_without_a_membership_no_transaction_begins(
    kafka: FakeKafka, group: ObservedGroup, dead_letters: TransactionalDeadLetters
) -> None:
    send(dead_letters, batch(0))
    group.join(-1)
    with pytest.raises(DeadLettersUnavailable, match="not a member"):
        dead_letters.send_and_commit(batch(1), batch(1).dead_letters)
    assert kafka.calls == ["init", "begin", "offsets", "commit"]


def test_a_closed_producer_is_replaced(kafka: FakeKafka, dead_letters: TransactionalDeadLetters) -> None:
    send(dead_letters, batch(0))
    dead_letters.close()
    dead_letters.close()
    send(dead_letters, batch(1))
    assert kafka.calls.count("init") == 2
