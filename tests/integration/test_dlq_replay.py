"""`orders dlq replay` on a real Kafka."""

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from service.config import KafkaSettings
from service.entities.dead_letter_headers import Header, Headers, read_origin, read_replays
from service.errors import CommandFailed, KafkaRequestFailed, Stopped, UsageError
from service.handler.kafka.client import properties
from service.handler.kafka.client.topic_id import fetch_topic_id
from service.handler.kafka.client.topic_reader import open_topic
from service.handler.kafka.dead_letters.replay import ReplayProducer
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.replay import ReplayPlan
from tests.kit.dlq import FAR, ORIGIN_MS, dead_letter, dlq, produce
from tests.kit.processes import Spawn
from tests.kit.raw_producer import produce_with_header
from tests.kit.waiting import eventually


def read_all(kafka: KafkaSettings, topic: str) -> list[Message]:
    """Return all messages of a topic."""
    consumer = Consumer(properties.consumer(kafka) | {"group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(3)])
    found, open_partitions = [], 3
    while open_partitions:
        message = consumer.poll(FAR)
        assert message is not None
        error = message.error()
        if error is None:
            found.append(message)
        else:
            assert error.code() == KafkaError._PARTITION_EOF
            open_partitions -= 1
    consumer.close()
    return found


def keys(messages: list[Message]) -> Counter[bytes | None]:
    return Counter(message.key() for message in messages)


def test_a_replay_sends_the_original_bytes_with_origin_replay_count_and_current_timestamp(kafka: KafkaSettings) -> None:
    sent = dead_letter(kafka, 5, replays=1)
    produce(kafka, sent)
    started = datetime.now(UTC).timestamp() * 1000 - 1
    assert dlq(kafka, "replay") == 0
    (message,) = read_all(kafka, kafka.topic)
    headers: Headers = message.headers()  # type: ignore[assignment]  # bytes, because Kafka returned them
    assert (message.key(), message.value()) == (sent.key, sent.value)
    assert headers[:4] == sent.headers[:4]
    assert read_origin(headers) == (ORIGIN_MS + 5, 2, 105, kafka.topic)
    assert read_replays(headers) == 2
    assert {name for name, _ in headers[4:]} == {
        Header.TOPIC, Header.PARTITION, Header.OFFSET, Header.TIMESTAMP, Header.REPLAYS, Header.REPLAYED_BY,
    }  # fmt: skip
    assert message.partition() == 2
    assert message.timestamp()[1] >= started


def test_a_second_replay_sends_only_new_dead_letters(kafka: KafkaSettings) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2))
    assert dlq(kafka, "replay") == 0
    produce(kafka, dead_letter(kafka, 3))
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-1": 1, b"key-2": 1, b"key-3": 1}


def test_a_replay_starts_over_if_the_topic_was_recreated_during_the_last_one(kafka: KafkaSettings) -> None:
    admin, group = (
        AdminClient(properties.common(kafka)),
        ReplayPlan(kafka.subscription, DeadLetterFilters()).group(kafka.group_id),
    )
    produce(kafka, *(dead_letter(kafka, number) for number in range(3)))
    with closing(Consumer(properties.consumer(kafka) | {"group.id": group})) as consumer:
        topic = open_topic(consumer, kafka.dead_letter_topic, fetch_topic_id(admin, kafka.dead_letter_topic, FAR))
        recreate(admin, kafka.dead_letter_topic)
        produce(kafka, *(dead_letter(kafka, number) for number in range(5, 10)))
        topic.commit({0: 3})
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-%d" % number: 1 for number in range(5, 10)}


def recreate(admin: AdminClient, name: str) -> None:
    admin.delete_topics([name])[name].result(FAR)
    eventually(lambda: name not in admin.list_topics(timeout=FAR).topics, FAR, "deleted")
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(FAR)
    eventually(lambda: name in admin.list_topics(timeout=FAR).topics, FAR, "created")


def test_replays_with_different_filters_have_separate_progress(kafka: KafkaSettings) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2, reason="rejected"))
    assert dlq(kafka, "replay", "--reason", "rejected") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-2": 1}
    assert dlq(kafka, "replay", "--reason", "invalid") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-1": 1, b"key-2": 1}


def test_a_limited_replay_continues_where_it_ended(kafka: KafkaSettings) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(5)))
    produce(kafka, *(dead_letter(kafka, number) for number in range(5, 10)), partition=1)
    for expected in (4, 8, 10):
        assert dlq(kafka, "replay", "--max", "4") == 0
        assert keys(read_all(kafka, kafka.topic)).total() == expected
    assert set(keys(read_all(kafka, kafka.topic)).values()) == {1}


def test_a_dry_run_counts_by_reason_and_sends_nothing(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    produce(
        kafka,
        dead_letter(kafka, 1),
        dead_letter(kafka, 2),
        dead_letter(kafka, 3, reason="rejected"),
        dead_letter(kafka, 4, replays=3),
    )
    for _ in range(2):
        assert dlq(kafka, "replay", "--dry-run") == 0
        assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
            ["2", "invalid"],
            ["1", "rejected"],
            ["1", "refused: was replayed too often: see --max-replays"],
            ["3", "would be sent"],
        ]
    assert read_all(kafka, kafka.topic) == []


# Dead letters named by partition and offset


def printed_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "offset" in line]


def test_exactly_the_named_dead_letters_are_replayed(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(5)))
    produce(kafka, *(dead_letter(kafka, number) for number in range(5, 10)), partition=1)
    assert dlq(kafka, "replay", "1", "3", "1", "3", "--dry-run") == 0
    lines = [f"sent: partition 1, offset {offset} (invalid)" for offset in (3, 1)]
    assert printed_lines(capsys) == [f"would be {line}" for line in lines]
    assert read_all(kafka, kafka.topic) == []
    for times in (1, 2):
        assert dlq(kafka, "replay", "1", "3", "1") == 0
        assert printed_lines(capsys) == lines
        assert keys(read_all(kafka, kafka.topic)) == {b"key-8": times, b"key-6": times}


def test_replaying_named_dead_letters_does_not_affect_other_replays(kafka: KafkaSettings) -> None:
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 2), dead_letter(kafka, 3))
    assert dlq(kafka, "replay", "0", "2") == 0
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-1": 1, b"key-2": 1, b"key-3": 2}


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_named_dead_letter_that_cannot_be_sent_is_reported_and_the_others_are_sent(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str], *, dry_run: bool
) -> None:
    produce(
        kafka,
        dead_letter(kafka, 1),
        dead_letter(kafka, 2),
        dead_letter(kafka, 3, changes={Header.STUB: b"true"}),
        dead_letter(kafka, 4),
    )
    delete_before(kafka, partition=0, offset=1)
    with pytest.raises(CommandFailed, match="3 of 5 dead letters were not sent"):
        dlq(kafka, "replay", *(["--dry-run"] if dry_run else []), "0", "0", "1", "2", "3", "4")
    would = "would be " if dry_run else ""
    assert sorted(line.removeprefix("would be ") for line in printed_lines(capsys)) == [
        "refused: partition 0, offset 0 has no dead letter",
        "refused: partition 0, offset 2 is a stub: its original was too large for the dead-letter topic",
        "refused: partition 0, offset 4 has no dead letter",
        "sent: partition 0, offset 1 (invalid)",
        "sent: partition 0, offset 3 (invalid)",
    ]
    assert would or keys(read_all(kafka, kafka.topic)) == {b"key-2": 1, b"key-4": 1}
    with pytest.raises(CommandFailed, match="1 of 1 dead letters were not sent"):
        dlq(kafka, "replay", "99", "0")


def delete_before(kafka: KafkaSettings, partition: int, offset: int) -> None:
    """Delete records as retention does."""
    admin, place = AdminClient(properties.common(kafka)), TopicPartition(kafka.dead_letter_topic, partition, offset)
    admin.delete_records([place])[place].result(FAR)


def test_dead_letters_that_are_deleted_while_they_are_read_hide_no_others(kafka: KafkaSettings) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(5)))
    with closing(Consumer(properties.dead_letter_reader(kafka))) as consumer:
        topic = open_topic(consumer, kafka.dead_letter_topic)
        delete_before(kafka, partition=0, offset=2)
        assert [each.offset for each in topic.read(topic.starts, lambda: False)] == [2, 3, 4]


def test_the_dead_letters_of_an_order_are_replayed_by_key_and_content_with_a_line_each(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    by_document = dead_letter(kafka, 2)._replace(value=b'{"order_uid": "key-1"}')
    produce(kafka, dead_letter(kafka, 1), dead_letter(kafka, 11), by_document, dead_letter(kafka, 1, reason="rejected"))
    assert dlq(kafka, "replay", "--order", "key-1", "--dry-run") == 0
    assert [line.partition("offset ")[2] for line in printed_lines(capsys)] == [
        "0 (invalid)",
        "2 (invalid)",
        "3 (rejected)",
    ]
    assert dlq(kafka, "replay", "--order", "key-1", "--reason", "invalid") == 0
    assert printed_lines(capsys) == [f"sent: partition 0, offset {offset} (invalid)" for offset in (0, 2)]
    assert dlq(kafka, "replay", "--order", "key-1") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-1": 3, b"key-2": 2}
    produce(kafka, dead_letter(kafka, 1))
    capsys.readouterr()
    assert dlq(kafka, "replay", "--order", "key-1") == 0
    assert printed_lines(capsys) == [
        "sent: partition 0, offset 4 (invalid)"
    ]  # the others were sent by this replay before


@pytest.mark.parametrize("offset", ["x", "-1"])
def test_an_invalid_offset_is_a_usage_error(
    kafka: KafkaSettings, offset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        dlq(kafka, "replay", "0", offset)
    assert "OFFSET" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["0"], ["0", "1", "--order", "a"], ["0", "1", "--reason", "invalid"], ["0", "1", "--max", "1"]],
    ids=" ".join,
)
def test_partition_and_offsets_cannot_be_combined_with_filters(kafka: KafkaSettings, arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="OFFSET"):
        dlq(kafka, "replay", *arguments)


# Rejected dead letters and failures


def test_loops_stubs_and_foreign_dead_letters_are_refused_without_stopping_the_replay(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    produce(
        kafka,
        dead_letter(kafka, 1, replays=3),
        dead_letter(kafka, 2, changes={Header.STUB: b"true"}),
        dead_letter(kafka, 3, changes={Header.TOPIC: b"payroll"}),
        dead_letter(kafka, 4, changes={Header.OFFSET: None}),
        dead_letter(kafka, 5),
    )
    produce_with_header(kafka.bootstrap_servers, kafka.dead_letter_topic, b"value", b"\xff\xfe")
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-5": 1}
    refused = [line for line in capsys.readouterr().out.splitlines() if line.startswith("refused")]
    assert [line.split("offset ")[1][:1] for line in refused] == ["0", "1", "2", "3", "5"]


def test_a_higher_limit_allows_another_replay(kafka: KafkaSettings) -> None:
    produce(kafka, dead_letter(kafka, 1, replays=3))
    assert dlq(kafka, "replay") == 0
    assert dlq(kafka, "replay", "--max-replays", "4") == 0
    assert keys(read_all(kafka, kafka.topic)) == {b"key-1": 1}


def test_a_dead_letter_too_large_for_the_order_topic_does_not_affect_the_others(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = AdminClient(properties.common(kafka))
    narrow = kafka.model_copy(update={"topic": f"{kafka.topic}-narrow"})
    with_limit = NewTopic(narrow.topic, 3, 1, config={"max.message.bytes": "20000"})
    admin.create_topics([with_limit])[narrow.topic].result(FAR)
    small = [dead_letter(narrow, number)._replace(value=b"x" * 5_000) for number in (0, 3, 6, 9, 12)]
    produce(narrow, *small, dead_letter(narrow, 15)._replace(value=b"x" * 30_000))
    assert dlq(narrow, "replay") == 0
    assert keys(read_all(narrow, narrow.topic)) == {each.key: 1 for each in small}
    assert "offset 5 exceeds" in capsys.readouterr().out
    admin.delete_topics([narrow.topic])[narrow.topic].result(FAR)


def test_unacknowledged_dead_letters_are_replayed_again(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(20)))
    lost = KafkaError(KafkaError._MSG_TIMED_OUT)
    with monkeypatch.context() as unavailable:
        unavailable.setattr(ReplayProducer, "_attempt", lambda _, dead_letters: [(each, lost) for each in dead_letters])
        with pytest.raises(KafkaRequestFailed, match=r"cannot produce to .*: message timed out \(_MSG_TIMED_OUT\)"):
            dlq(kafka, "replay")
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {f"key-{number}".encode(): 1 for number in range(20)}


def test_a_missing_order_topic_is_reported(kafka: KafkaSettings) -> None:
    missing = kafka.model_copy(update={"topic": f"{kafka.topic}-missing"})
    produce(kafka, dead_letter(kafka, 1))
    with pytest.raises(KafkaRequestFailed, match=f"cannot produce to {missing.topic}: unknown topic or partition"):
        dlq(missing, "replay")


@pytest.mark.parametrize("command", [["list"], ["show", "0", "0"], ["replay", "--dry-run"]], ids=" ".join)
def test_an_interrupted_command_fails(kafka: KafkaSettings, command: list[str]) -> None:
    produce(kafka, dead_letter(kafka, 0))
    stopped = ShutdownEvent()
    stopped.set()
    with pytest.raises((CommandFailed, Stopped), match=r"(stopped|interrupted) before the end"):
        dlq(kafka, *command, stop=stopped)


def test_an_interrupted_replay_continues_where_it_ended(
    kafka: KafkaSettings, settings: dict[str, str], spawn: Spawn
) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(60)))
    replay = spawn("dlq", "replay", "--rate", "20", settings=settings)
    eventually(lambda: read_all(kafka, kafka.topic), within=30)
    assert replay.stop() == 1
    assert "run the same command to continue" in replay.tail()
    assert keys(read_all(kafka, kafka.topic)).total() < 60
    assert dlq(kafka, "replay") == 0
    assert keys(read_all(kafka, kafka.topic)) == {f"key-{number}".encode(): 1 for number in range(60)}


def test_a_killed_replay_loses_nothing_and_repeats_only_the_same_versions(
    kafka: KafkaSettings, settings: dict[str, str], spawn: Spawn
) -> None:
    produce(kafka, *(dead_letter(kafka, number) for number in range(60)))
    replay = spawn("dlq", "replay", "--rate", "20", settings=settings)
    eventually(lambda: read_all(kafka, kafka.topic), within=30)
    replay.kill()
    assert dlq(kafka, "replay") == 0
    messages = read_all(kafka, kafka.topic)
    versions = {(message.key(), read_origin(message.headers())) for message in messages}  # type: ignore[arg-type]
    assert len(versions) == 60
    assert len(messages) <= 60 + 20
