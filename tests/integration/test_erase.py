"""`orders erase` with a real Kafka and PostgreSQL, a consumer and an API."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import httpx2
import psycopg
import pytest
from confluent_kafka import Producer
from msgspec.json import encode

from service.app.commands import erase
from service.app.commands.support.kafka_clients import connected_consumer
from service.config import KafkaSettings, PostgresSettings, Settings
from service.entities.dead_letter_headers import Header
from service.errors import CommandError, UsageError
from service.handler.kafka.client import diagnostics as connecting
from service.handler.kafka.client import properties
from service.handler.kafka.client.order_records import KafkaOrderRecords
from service.pkg.shutdown_event import ShutdownEvent
from service.repo.operations.erasures import Erasures
from service.usecases.ports import OrderRecords
from tests.kit import stores
from tests.kit.factories import order_document, versioned
from tests.kit.fakes import FakeOrderRecords
from tests.kit.harness import MAX_STALE_SECONDS, TIMEOUT_SECONDS, Harness, Sent, metric, order_status, orders
from tests.kit.temporary import configure_topic
from tests.kit.terminal import terminal_input
from tests.kit.waiting import eventually

DAY = 86_400


@pytest.fixture
def both_settings(kafka: KafkaSettings, database: str) -> Settings:
    return Settings(kafka=kafka, postgres=PostgresSettings(dsn=database))


def run(settings: Settings, *arguments: str, stop: ShutdownEvent | None = None) -> int:
    """Run `orders erase ARGUMENTS` in this process and return its exit code."""
    parser = argparse.ArgumentParser()
    erase.add_arguments(parser)
    return erase.run(parser.parse_args(arguments), settings, stop or ShutdownEvent())


def erased(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return len(connection.execute("SELECT FROM erased").fetchall())


# With a running consumer and API


def test_an_erased_order_returns_404_within_a_second_and_is_not_stored_again(harness: Harness) -> None:
    a, b, c, d = (order_document(order_uid=uid) for uid in "abcd")
    consumer, api = harness.consumer(), harness.spawn("api", settings=harness.settings).ready()
    harness.produce(*orders([a, b]))
    harness.wait_stored({"a", "b"})
    eventually(lambda: order_status(api, "a") == 200)
    assert httpx2.get(f"{api.url}/orders/a").headers["x-cache"] == "hit"

    assert harness.output_of("erase", "--yes", "a").splitlines()[0] == "a: erased"
    eventually(lambda: order_status(api, "a") == 404, MAX_STALE_SECONDS)
    assert order_status(api, "b") == 200

    harness.produce(*orders([a, c]))
    harness.wait_committed({0: 4})
    harness.produce(*orders([a | {"entry": "newer"}]))
    harness.wait_committed({0: 5})
    harness.produce_dead_letter(a, offset=1_000)
    assert "1  sent" in harness.output_of("dlq", "replay")
    harness.wait_committed({0: 6})
    assert metric(consumer, "orders_erased_skipped_total") == 3

    assert consumer.stop() == 0
    assert "6 offsets will be read again" in harness.output_of("rewind", "--to-timestamp", "2001-01-01T00:00:00Z")
    again = harness.consumer()
    harness.produce(*orders([d]))
    harness.wait_committed({0: 7})
    assert metric(again, "orders_erased_skipped_total") > 0
    assert len(harness.dead_letters()) == 1  # the one produced above
    assert harness.stored() == {"b", "c", "d"}
    warmed = harness.spawn("api", settings=harness.settings).ready()
    assert [order_status(each, uid) for each in (api, warmed) for uid in "abcd"] == [404, 200, 200, 200] * 2


# Listing dead letters


def produce(settings: Settings, records: Sequence[Sent], topic: str = "") -> None:
    """Produce to a topic, by default the dead-letter topic."""
    producer = Producer(properties.producer(settings.kafka))
    for each in records:
        producer.produce(
            topic or settings.kafka.dead_letter_topic, each.value, each.key, each.partition, headers=[*each.headers]
        )
    assert producer.flush(TIMEOUT_SECONDS) == 0


def test_dead_letters_are_listed_without_content(both_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    headers = [(Header.REASON, b"invalid"), (Header.FAILED_AT, b"2026-11-23T10:00:00.000Z")]
    produce(
        both_settings,
        [
            Sent(b'{"order_uid": "order-1", "delivery": {"name": "Zzyzx"', headers=[*headers]),
            Sent(encode(order_document(order_uid="order-12")), b"order-12", headers=[*headers]),
            Sent(b"\x00Zzyzx", b"order-2", headers=[*headers]),
            Sent(encode(order_document(order_uid="order-1", entry="Zzyzx")), b"Zzyzx", 2, headers=[*headers]),
        ],
    )
    assert run(both_settings, "--yes", "order-1", "order-2", "order-1") == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[:2] == [f"{uid}: was not stored, later messages will be skipped" for uid in ("order-1", "order-2")]
    assert lines[2].split()[:4] == ["ORDER", "PARTITION", "OFFSET", "REASON"]
    assert sorted(line.split() for line in lines[3:6]) == [
        ["order-1", "0", "0", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
        ["order-1", "2", "0", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
        ["order-2", "0", "2", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
    ]
    assert lines[6] == f"3 of 4 dead letters in {both_settings.kafka.dead_letter_topic} are theirs"
    assert "Zzyzx" not in printed


def test_without_kafka_the_order_is_erased_and_the_missing_list_is_reported(
    both_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_SECONDS", 0.5)
    unreachable = both_settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(
        CommandError,
        match=r"^erased, but listing the dead letters failed: cannot reach Kafka at 127\.0\.0\.1:9: ",
    ):
        run(unreachable, "--yes", "a")
    assert erased(both_settings.postgres.dsn) == 1


def test_an_interrupted_list_is_reported(both_settings: Settings) -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(
        CommandError, match="listing the dead letters failed: stopped before the end of the dead letters"
    ):
        run(both_settings, "--yes", "a", stop=stop)
    assert erased(both_settings.postgres.dsn) == 1


def test_without_postgresql_nothing_is_erased_and_one_line_reports_it(both_settings: Settings) -> None:
    unreachable = both_settings.model_copy(
        update={"postgres": PostgresSettings(dsn="postgresql://u:hunter2@127.0.0.1:1/x")}
    )
    with pytest.raises(CommandError) as raised:
        run(unreachable, "--yes", "a")
    assert str(raised.value) == (
        "cannot connect to PostgreSQL at 127.0.0.1:1: connection refused (after 0 s). Check ORDERS_POSTGRES__DSN."
    )


@pytest.mark.parametrize("uid", ["", "a b", "a\n", "ä", "x" * 65, "a/b"])
def test_an_invalid_uid_is_a_usage_error(both_settings: Settings, uid: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(both_settings, "--yes", "a", uid)
    assert ended.value.code == 2
    assert "argument ORDER_UID: must be 1 to 64 characters from" in capsys.readouterr().err
    assert erased(both_settings.postgres.dsn) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--yes", "--dry-run", "a"],
        ["a", "--forget-older-than", "40d"],
        ["--forget-older-than", "40 days"],
        ["--forget-older-than", "40"],
    ],
)
def test_either_orders_or_an_age_is_required(both_settings: Settings, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(both_settings, *arguments)
    assert ended.value.code == 2


# Confirmation, dry run and undo


def test_the_user_is_asked_for_confirmation_after_a_preview(
    both_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store(both_settings, "there")
    with terminal_input(monkeypatch, b"y\n"):
        assert run(both_settings, "there", "typo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "there: stored, would be erased",
        "typo: not stored, later messages would be skipped",
    ]
    assert "Erase 2 orders? [y/N] there: erased" in lines
    assert stored(both_settings.postgres.dsn) == set()
    assert erased(both_settings.postgres.dsn) == 2


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yesno\n", b"\x04"], ids=["nothing", "no", "other", "end"])
def test_without_confirmation_nothing_is_erased(
    both_settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    store(both_settings, "a")
    with terminal_input(monkeypatch, answer), pytest.raises(CommandError, match="nothing was erased"):
        run(both_settings, "a")
    assert stored(both_settings.postgres.dsn) == {"a"}
    assert erased(both_settings.postgres.dsn) == 0


def test_without_a_terminal_yes_is_required_and_the_exit_code_is_2(harness: Harness) -> None:
    store(settings_of(harness), "a")
    command = harness.spawn("erase", "a", settings=harness.settings)
    assert command.process.wait(60) == 2
    assert command.tail().splitlines() == [
        "orders: erase: cannot ask for confirmation: standard input is not a terminal. Use --yes or --dry-run."
    ]
    assert (harness.stored(), erased(harness.database)) == ({"a"}, 0)


def test_a_dry_run_prints_what_would_be_done_and_changes_nothing(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    store(both_settings, "there")
    run(both_settings, "--yes", "gone")
    produce(both_settings, [Sent(b"hello", b"typo")])
    capsys.readouterr()
    assert run(both_settings, "--dry-run", "there", "gone", "typo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "there: stored, would be erased",
        "gone: already erased",
        "typo: not stored, later messages would be skipped",
    ]
    assert f"1 of 1 dead letters in {both_settings.kafka.dead_letter_topic} are theirs" in lines
    assert stored(both_settings.postgres.dsn) == {"there"}
    assert erased(both_settings.postgres.dsn) == 1


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
        "other: was not erased",
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
    with pytest.raises(CommandError, match="2 of 3 erasures were not undone"):
        run(both_settings, "--undo", "a", "b", "c")
    assert [line.partition(": ")[2][:6] for line in capsys.readouterr().out.splitlines()] == [
        "not un",
        "undone",
        "not un",
    ]
    assert erased(both_settings.postgres.dsn) == 2


def test_a_record_that_arrives_during_undo_is_reported(
    both_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(both_settings, "--yes", "a")
    undo = Erasures.undo

    def late(self: Erasures, uids: Sequence[str]) -> None:
        produce(both_settings, [Sent(encode(order_document(order_uid="a")))], both_settings.kafka.topic)
        undo(self, uids)

    monkeypatch.setattr(Erasures, "undo", late)
    with pytest.raises(CommandError, match="run `orders rewind` to read them again"):
        run(both_settings, "--undo", "a")
    topic = both_settings.kafka.topic
    assert f"a: undone, but a new record has arrived at {topic}, partition 0, offset 0" in capsys.readouterr().out


def test_undo_requires_uids(both_settings: Settings) -> None:
    with pytest.raises(UsageError, match="--undo needs the order_uids"):
        run(both_settings, "--undo", "--forget-older-than", "40d")


def store(settings: Settings, *uids: str) -> None:
    stores.store(settings.postgres.dsn, *(versioned(order_uid=uid) for uid in uids))


def stored(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {uid for (uid,) in connection.execute("SELECT order_uid FROM orders")}


def settings_of(harness: Harness) -> Settings:
    return Settings(postgres=PostgresSettings(dsn=harness.database))


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
            KafkaOrderRecords(consumer, topic, lambda: False),
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


# Expiry of erasures


def set_retention(settings: Settings, **seconds: float) -> None:
    """Set the retention of each topic, with segments of an hour; -1 is unlimited."""
    for topic, retention in (
        (settings.kafka.topic, seconds["orders"]),
        (f"{settings.kafka.topic}.dlq", seconds["dlq"]),
    ):
        config = {"segment.ms": 3_600_000, "retention.ms": round(retention * 1_000) if retention >= 0 else -1}
        configure_topic(settings.kafka.bootstrap_servers, topic, config)


@pytest.mark.parametrize(
    ("order_retention", "dead_letter_retention", "problem"),
    [
        (7 * DAY, 7 * DAY - 3_600, "keeps records for up to 7.04167 days"),
        (7 * DAY - 3_600, 30 * DAY, r"\.dlq keeps records for up to 30.0417 days"),
        (-1, DAY, "keeps records forever"),
    ],
)
def test_an_erasure_is_not_forgotten_while_a_topic_may_have_a_record_of_the_order(
    both_settings: Settings, order_retention: float, dead_letter_retention: float, problem: str
) -> None:
    set_retention(both_settings, orders=order_retention, dlq=dead_letter_retention)
    run(both_settings, "--yes", "a")
    age(both_settings.postgres.dsn, days=8)
    with pytest.raises(CommandError, match=problem):
        run(both_settings, "--forget-older-than", "7d")
    assert erased(both_settings.postgres.dsn) == 1


def test_erasures_older_than_the_retention_of_both_topics_are_forgotten(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    set_retention(both_settings, orders=7 * DAY - 3_600, dlq=DAY)
    run(both_settings, "--yes", "old")
    age(both_settings.postgres.dsn, days=8)
    run(both_settings, "--yes", "young")
    assert run(both_settings, "--dry-run", "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures would be forgotten"
    assert erased(both_settings.postgres.dsn) == 2
    assert run(both_settings, "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures forgotten"
    assert erased(both_settings.postgres.dsn) == 1


def test_without_kafka_nothing_is_forgotten(both_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_SECONDS", 0.5)
    run(both_settings, "--yes", "a")
    age(both_settings.postgres.dsn, days=800)
    unreachable = both_settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(CommandError, match=r"^cannot reach Kafka at 127\.0\.0\.1:9: "):
        run(unreachable, "--forget-older-than", "700d")
    assert erased(both_settings.postgres.dsn) == 1


def age(dsn: str, days: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE erased SET erased_at = erased_at - %s * interval '1 day'", [days])
