"""Offsets that the loop reads and commits at the ends of a partition, and after a topic was recreated."""

from confluent_kafka import KafkaError, TopicPartition

from service.handler.kafka.client.topic_id import TopicId
from tests.kit.consumer_loop import ORDER, LoopSetup, Make, Script
from tests.kit.fake_consumer import TOPIC
from tests.kit.order_partitions import P0

END_OF_PARTITION = KafkaError(KafkaError._PARTITION_EOF)


def test_the_end_of_a_partition_is_committed_if_nothing_before_it_is_pending(setup: LoopSetup) -> None:
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
    _read_the_order_at_offset_5(setup)
    assert setup.sample("offsets_skipped_total") == 0


def test_an_offset_that_was_deleted_from_the_topic_is_reset_and_counted(make: Make) -> None:
    setup = make()
    setup.commit(2, 0)
    _read_the_order_at_offset_5(setup)
    assert setup.sample("offsets_skipped_total") == 3


def test_messages_of_a_deleted_topic_are_dropped_when_it_is_recreated(make: Make) -> None:
    setup = make()
    setup.kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, 0, "topic-id=old")
    setup.group.set_topic_id(TOPIC, TopicId("old"))

    def script() -> Script:
        setup.kafka.rebalance("on_assign", 0)
        setup.kafka.append(0, ORDER)
        yield setup.is_committed({0: 1})
        setup.batches.gate.clear()
        setup.kafka.append(0, ORDER)
        yield lambda: len(setup.batches.started) == 2
        setup.admin.answers.append("new")
        setup.kafka.logs[0].values = [ORDER]
        yield lambda: setup.group.topic_ids[TOPIC] == TopicId("new")
        setup.batches.gate.set()
        yield lambda: setup.kafka.committed_offsets[0].metadata == "topic-id=new"

    setup.run(script())
    assert setup.batches.finished == [{0: 1}, {}, {0: 1}]
    assert setup.committed == {0: 1}
    assert setup.sample("topic_recreations_total") == 1


def test_an_offset_in_a_deleted_topic_counts_neither_as_skipped_nor_as_done(make: Make) -> None:
    setup = make()
    setup.kafka.committed_offsets[0] = TopicPartition(TOPIC, 0, 99, "topic-id=old")
    setup.group.set_topic_id(TOPIC, TopicId("new"))
    setup.admin.topic_id = "new"

    def script() -> Script:
        setup.batches.gate.clear()
        setup.kafka.append(0, *[ORDER] * 5)
        setup.kafka.rebalance("on_assign", 0)
        yield lambda: 0 in setup.kafka.positions
        setup.consumer.assignment.progress.start_at({P0: 99})  # reported by the client's statistics
        yield lambda: setup.sample("lag_messages", topic=TOPIC, partition="0") == 5
        setup.batches.gate.set()
        yield setup.is_committed({0: 5})

    logs = setup.run(script())
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "the topic was deleted and created again: it is read from its beginning"
    ]
    assert setup.sample("topic_recreations_total") == 1
    assert setup.sample("offsets_skipped_total") == 0


def _read_the_order_at_offset_5(setup: LoopSetup) -> None:
    """The log begins there: earlier messages were deleted."""

    def script() -> Script:
        setup.kafka.logs[0].start = 5
        setup.kafka.append(0, ORDER)
        setup.kafka.rebalance("on_assign", 0)
        yield setup.is_committed({0: 6})

    setup.run(script())
