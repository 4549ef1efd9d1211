"""`orders erase --undo`: an erasure is undone unless the topic may have a record of the order."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest
from msgspec.json import encode

from service.app.commands.connections.kafka_clients import connected_consumer
from service.config import Settings
from service.errors import CommandFailed, UsageError
from service.handler.kafka.operations.order_records import KafkaOrderRecords
from service.repo.operations.erasures import Erasures
from service.usecases.ports.operations import OrderRecords
from tests.kit.erase_command import erased, produce, run
from tests.kit.factories import order_document
from tests.kit.fakes import FakeOrderRecords
from tests.kit.harness import Harness, Sent, metric, orders


def test_an_erasure_is_undone_unless_the_topic_has_a_record_of_the_order(harness: Harness) -> None:
    skipped, typo, other = (order_document(order_uid=uid) for uid in ("skipped", "typo", "other"))
    harness.output_of("erase", "--yes", "skipped", "typo")
    consumer = harness.consumer()
    harness.produce(*orders([skipped, other]))
    harness.wait_committed({0: 2})
    undoing = harness.spawn("erase", "--undo", "skipped", "typo", "other", settings=harness.settings)
    assert undoing.process.wait(60) == 1
    assert undoing.tail().splitlines() == [
        f"skipped: not undone: the record at {harness.topic}, partition 0, offset 0 may have been skipped",
        "typo: undone",
        "other: is not erased",
        "orders: 1 of 3 erasures were not undone",
    ]
    harness.produce(*orders([skipped, typo]))
    harness.wait_committed({0: 4})
    assert harness.stored() == {"typo", "other"}
    assert metric(consumer, "orders_erased_skipped_total") == 2


def test_records_without_a_key_or_with_broken_json_prevent_undo_and_tombstones_do_not(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(both_settings, "--yes", "a", "b", "c")
    records = [Sent(encode(order_document(order_uid="a"))), Sent(None, b"b"), Sent(b'{"order_uid": "c"')]
    produce(both_settings, records, both_settings.kafka.topic)
    capsys.readouterr()
    with pytest.raises(CommandFailed, match="2 of 3 erasures were not undone"):
        run(both_settings, "--undo", "a", "b", "c")
    assert [line.partition(": ")[2][:6] for line in capsys.readouterr().out.splitlines()] == [
        "not un",
        "undone",
        "not un",
    ]
    assert erased(both_settings.postgres.dsn) == 2


def test_json_has_the_state_of_each_order_also_if_undo_fails(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(both_settings, "--yes", "a", "b")
    produce(both_settings, [Sent(encode(order_document(order_uid="a")))], both_settings.kafka.topic)
    capsys.readouterr()
    with pytest.raises(CommandFailed, match="1 of 3 erasures were not undone"):
        run(both_settings, "--undo", "--json", "a", "b", "c")
    assert json.loads(capsys.readouterr().out) == {
        "is_dry_run": False,
        "orders": [
            {"order_uid": "a", "state": "erased", "record": f"{both_settings.kafka.topic}, partition 0, offset 0"},
            {"order_uid": "b", "state": "undone", "record": None},
            {"order_uid": "c", "state": "not-erased"},
        ],
    }


def test_a_record_that_arrives_during_undo_is_reported(
    both_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(both_settings, "--yes", "a")
    undo = Erasures.undo

    def late(self: Erasures, uids: Sequence[str]) -> None:
        produce(both_settings, [Sent(encode(order_document(order_uid="a")))], both_settings.kafka.topic)
        undo(self, uids)

    monkeypatch.setattr(Erasures, "undo", late)
    with pytest.raises(CommandFailed, match="run `orders rewind` to read them again"):
        run(both_settings, "--undo", "a")
    topic = both_settings.kafka.topic
    assert f"a: undone, but a new record has arrived at {topic}, partition 0, offset 0" in capsys.readouterr().out


def test_undo_requires_uids(both_settings: Settings) -> None:
    with pytest.raises(UsageError, match="--undo needs the order_uids"):
        run(both_settings, "--undo", "--forget-older-than", "40d")


# Search for records


class OrderTopic(NamedTuple):
    """An empty topic, a search for its records, and what appends the record of an order to partition 0."""

    records: OrderRecords
    produce: Callable[[str], None]


@pytest.fixture(params=["fake", "kafka"])
def order_topic(request: pytest.FixtureRequest) -> Iterator[OrderTopic]:
    if request.param == "fake":
        yield OrderTopic(fake := FakeOrderRecords(), fake.produce)
        return
    settings: Settings = request.getfixturevalue("both_settings")
    topic = settings.kafka.topic
    with connected_consumer(settings.kafka, {}) as consumer:
        yield OrderTopic(
            KafkaOrderRecords(consumer, settings.kafka.subscription, lambda: False),
            lambda uid: produce(settings, orders([order_document(order_uid=uid)]), topic),
        )


def test_each_search_returns_the_first_record_after_the_previous_search(order_topic: OrderTopic) -> None:
    """The contract of OrderRecords."""
    for uid in "aba":
        order_topic.produce(uid)
    assert offsets(order_topic.records.find({"a", "c"})) == {"a": "0"}
    assert order_topic.records.find(["a", "b"]) == {}
    for uid in "abb":
        order_topic.produce(uid)
    assert offsets(order_topic.records.find(["b"])) == {"b": "4"}
    order_topic.produce("a")
    assert order_topic.records.find([]) == {}
    assert order_topic.records.find(["a"]) == {}


def offsets(found: dict[str, str]) -> dict[str, str]:
    return {uid: coordinates.partition(", partition 0, offset ")[2] for uid, coordinates in found.items()}
