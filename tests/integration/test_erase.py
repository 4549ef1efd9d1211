"""`orders erase` as its users run it, beside a consumer and an API, on a real Kafka and a real PostgreSQL."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import httpx2
import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from msgspec.json import encode

from service.app.commands import erase
from service.config import Kafka, Postgres, Settings
from service.entities.dead_letter import Header, Headers
from service.entities.errors import CommandRefused, InvalidSettings
from service.handler.kafka.client import connection_errors as connecting
from service.handler.kafka.client import properties
from service.pkg.shutdown_event import ShutdownEvent
from service.pkg.tx import Access, Transactions
from service.repo.erasures import Erasures
from service.repo.writes import OrderWriter
from tests import servers
from tests.factories import order_document, versioned
from tests.harness import SECONDS, Harness, Sent, metric, orders
from tests.processes import Service
from tests.waiting import eventually

BOUND = 1.0  # seconds for which an erased order may still be served
DAY = 86_400


@pytest.fixture(autouse=True)
def _signals_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "stop_at_signals", ShutdownEvent)


@pytest.fixture
def settings_of_both(kafka_server: servers.Kafka, topic: str, database: str) -> Settings:
    kafka = Kafka(
        bootstrap_servers=kafka_server.bootstrap_servers,
        topic=topic,
        dead_letter_topic=f"{topic}.dlq",
        group_id=topic,
    )
    return Settings(kafka=kafka, postgres=Postgres(dsn=database))


def run(settings: Settings, *arguments: str) -> int:
    """Run `orders erase ARGUMENTS` in this process and return its exit code."""
    parser = argparse.ArgumentParser()
    erase.add_arguments(parser)
    return erase.run(parser.parse_args(arguments), settings)


def done(harness: Harness, *arguments: str) -> str:
    """Run a command as a process and return what it printed."""
    command = harness.spawn(*arguments, settings=harness.settings)
    assert command.process.wait(60) == 0, command.tail()
    return command.tail()


def status(api: Service, uid: str) -> int:
    return httpx2.get(f"{api.url}/orders/{uid}").status_code


def erased(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        return len(connection.execute("SELECT FROM erased").fetchall())


# Beside consumers and APIs


def test_an_erased_order_is_answered_404_within_a_second_and_nothing_brings_it_back(harness: Harness) -> None:
    a, b, c, d = (order_document(order_uid=uid) for uid in "abcd")
    consumer, api = harness.consumer(), harness.spawn("api", settings=harness.settings).ready()
    harness.produce(*orders([a, b]))
    harness.wait_stored({"a", "b"})
    eventually(lambda: status(api, "a") == 200)
    assert httpx2.get(f"{api.url}/orders/a").headers["x-cache"] == "hit"

    assert done(harness, "erase", "--yes", "a").splitlines()[0] == "a: erased"
    eventually(lambda: status(api, "a") == 404, BOUND)
    assert status(api, "b") == 200

    harness.produce(*orders([a, c]))
    harness.wait_committed({0: 4})
    harness.produce(*orders([a | {"entry": "newer"}]))
    harness.wait_committed({0: 5})
    dead_letter(harness, Sent(encode(a), b"a"), offset=1_000)
    assert "1  sent" in done(harness, "dlq", "replay")
    harness.wait_committed({0: 6})
    assert metric(consumer, "orders_erased_skipped_total") == 3

    assert consumer.stop() == 0
    assert "6 offsets will be read again" in done(harness, "rewind", "--to-timestamp", "2001-01-01T00:00:00Z")
    again = harness.consumer()
    harness.produce(*orders([d]))
    harness.wait_committed({0: 7})
    assert metric(again, "orders_erased_skipped_total") > 0
    assert len(harness.dead_letters()) == 1  # the one that was put there
    assert harness.stored() == {"b", "c", "d"}
    warmed = harness.spawn("api", settings=harness.settings).ready()
    assert [status(each, uid) for each in (api, warmed) for uid in "abcd"] == [404, 200, 200, 200] * 2


def dead_letter(harness: Harness, sent: Sent, offset: int) -> None:
    """Put a dead letter into the dead-letter topic that came from that offset of the order topic's partition 0."""
    origin = {Header.TOPIC: harness.topic, Header.PARTITION: "0", Header.OFFSET: str(offset), Header.TIMESTAMP: "9"}
    headers: Headers = [(name, value.encode()) for name, value in {Header.REASON: "rejected", **origin}.items()]
    producer = Producer({"bootstrap.servers": harness.bootstrap_servers})
    producer.produce(harness.dead_letter_topic, sent.value, sent.key, 0, headers=[*headers])
    assert producer.flush(SECONDS) == 0


# What Kafka still has


def put(settings: Settings, records: Sequence[Sent], topic: str = "") -> None:
    """Produce into a topic, the one of dead letters where none is named."""
    producer = Producer(properties.producer(settings.kafka))
    for each in records:
        producer.produce(
            topic or settings.kafka.dead_letter_topic, each.value, each.key, each.partition, headers=[*each.headers]
        )
    assert producer.flush(SECONDS) == 0


def test_its_dead_letters_are_listed_without_their_content(
    settings_of_both: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [(Header.REASON, b"invalid"), (Header.FAILED_AT, b"2026-11-23T10:00:00.000Z")]
    put(
        settings_of_both,
        [
            Sent(b'{"order_uid": "order-1", "delivery": {"name": "Zzyzx"', headers=[*said]),
            Sent(encode(order_document(order_uid="order-12")), b"order-12", headers=[*said]),
            Sent(b"\x00Zzyzx", b"order-2", headers=[*said]),
            Sent(encode(order_document(order_uid="order-1", entry="Zzyzx")), b"Zzyzx", 2, headers=[*said]),
        ],
    )
    assert run(settings_of_both, "--yes", "order-1", "order-2", "order-1") == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[:2] == [f"{uid}: was not stored, and will not be" for uid in ("order-1", "order-2")]
    assert lines[2].split()[:4] == ["ORDER", "PARTITION", "OFFSET", "REASON"]
    assert sorted(line.split() for line in lines[3:6]) == [
        ["order-1", "0", "0", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
        ["order-1", "2", "0", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
        ["order-2", "0", "2", "invalid", "?", "2026-11-23T10:00:00.000Z", "0"],
    ]
    assert lines[6] == f"3 of 4 dead letters in {settings_of_both.kafka.dead_letter_topic} are theirs"
    assert "Zzyzx" not in printed


def test_without_kafka_the_order_is_erased_and_it_is_said_that_the_dead_letters_are_not_listed(
    settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_SECONDS", 0.5)
    away = settings_of_both.model_copy(update={"kafka": Kafka(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(
        CommandRefused,
        match=r"^erased, but the dead letters .*: cannot reach Kafka at 127\.0\.0\.1:9: ",
    ):
        run(away, "--yes", "a")
    assert erased(settings_of_both.postgres.dsn) == 1


def test_a_stop_ends_the_list_and_says_so(settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = ShutdownEvent()
    stop.set()
    monkeypatch.setattr(erase, "stop_at_signals", lambda: stop)
    with pytest.raises(CommandRefused, match="not all listed: stopped before the end of the dead letters"):
        run(settings_of_both, "--yes", "a")
    assert erased(settings_of_both.postgres.dsn) == 1


def test_without_postgresql_nothing_is_erased_and_one_line_says_so(settings_of_both: Settings) -> None:
    away = settings_of_both.model_copy(update={"postgres": Postgres(dsn="postgresql://u:hunter2@127.0.0.1:1/x")})
    with pytest.raises(CommandRefused) as refused:
        run(away, "--yes", "a")
    assert str(refused.value) == (
        "cannot connect to PostgreSQL at 127.0.0.1:1: connection refused (after 0 s). Check ORDERS_POSTGRES__DSN."
    )


@pytest.mark.parametrize("uid", ["", "a b", "a\n", "ä", "x" * 65, "a/b"])
def test_what_can_not_be_an_id_is_wrong_usage(
    settings_of_both: Settings, uid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(settings_of_both, "--yes", "a", uid)
    assert ended.value.code == 2
    assert "argument ORDER_UID: must be 1 to 64 of" in capsys.readouterr().err
    assert erased(settings_of_both.postgres.dsn) == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["--yes", "--dry-run", "a"], ["a", "--forget-older-than", "40d"], ["--forget-older-than", "40 days"]],
)
def test_orders_or_an_age_are_wanted_and_not_both(settings_of_both: Settings, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(settings_of_both, *arguments)
    assert ended.value.code == 2


# Asked before, looked at, and taken back


@contextmanager
def at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> Iterator[None]:
    """Have somebody sit there who types this."""
    there, here = os.openpty()
    with os.fdopen(there, "wb", buffering=0) as keyboard, os.fdopen(here) as terminal:
        keyboard.write(answer)
        monkeypatch.setattr(sys, "stdin", terminal)
        yield


def test_a_person_is_told_what_it_does_and_asked(
    settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store(settings_of_both, "there")
    with at_a_terminal(monkeypatch, b"y\n"):
        assert run(settings_of_both, "there", "typo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "there: is stored, and would be erased",
        "typo: is not stored, and would be refused from then on",
    ]
    assert "Erase 2 orders? [y/N] there: erased" in lines
    assert stored(settings_of_both.postgres.dsn) == set()
    assert erased(settings_of_both.postgres.dsn) == 2


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yesno\n", b"\x04"], ids=["nothing", "no", "other", "end"])
def test_without_a_yes_nothing_is_erased(
    settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    store(settings_of_both, "a")
    with at_a_terminal(monkeypatch, answer), pytest.raises(CommandRefused, match="nothing was erased"):
        run(settings_of_both, "a")
    assert stored(settings_of_both.postgres.dsn) == {"a"}
    assert erased(settings_of_both.postgres.dsn) == 0


def test_where_nobody_can_be_asked_it_wants_a_yes_and_exits_2(harness: Harness) -> None:
    store(settings_of(harness), "a")
    command = harness.spawn("erase", "a", settings=harness.settings)
    assert command.process.wait(60) == 2
    assert command.tail().splitlines() == [
        "orders: erase: nobody can be asked, for the input is no terminal: add --yes, or try --dry-run"
    ]
    assert (harness.stored(), erased(harness.database)) == ({"a"}, 0)


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(
    settings_of_both: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    store(settings_of_both, "there")
    run(settings_of_both, "--yes", "gone")
    put(settings_of_both, [Sent(b"hello", b"typo")])
    capsys.readouterr()
    assert run(settings_of_both, "--dry-run", "there", "gone", "typo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "there: is stored, and would be erased",
        "gone: is erased already",
        "typo: is not stored, and would be refused from then on",
    ]
    assert f"1 of 1 dead letters in {settings_of_both.kafka.dead_letter_topic} are theirs" in lines
    assert stored(settings_of_both.postgres.dsn) == {"there"}
    assert erased(settings_of_both.postgres.dsn) == 1


def test_an_erasure_is_undone_while_nothing_of_the_order_came(harness: Harness) -> None:
    came, typo, other = (order_document(order_uid=uid) for uid in ("came", "typo", "other"))
    done(harness, "erase", "--yes", "came", "typo")
    consumer = harness.consumer()
    harness.produce(*orders([came, other]))
    harness.wait_committed({0: 2})
    undoing = harness.spawn("erase", "--undo", "came", "typo", "other", settings=harness.settings)
    assert undoing.process.wait(60) == 1
    assert undoing.tail().splitlines() == [
        f"came: not undone: {harness.topic}, partition 0, offset 0 is a record of it, which may have been skipped",
        "typo: undone",
        "other: was not erased",
        "orders: 1 of 3 erasures were not undone",
    ]
    harness.produce(*orders([came, typo]))
    harness.wait_committed({0: 4})
    assert harness.stored() == {"typo", "other"}
    assert metric(consumer, "orders_erased_skipped_total") == 2


def test_a_record_without_a_key_or_a_readable_document_counts_as_one_and_a_tombstone_does_not(
    settings_of_both: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings_of_both, "--yes", "a", "b", "c")
    records = [Sent(encode(order_document(order_uid="a"))), Sent(None, b"b"), Sent(b'{"order_uid": "c"')]
    put(settings_of_both, records, settings_of_both.kafka.topic)
    capsys.readouterr()
    with pytest.raises(CommandRefused, match="2 of 3 erasures were not undone"):
        run(settings_of_both, "--undo", "a", "b", "c")
    assert [line.partition(": ")[2][:6] for line in capsys.readouterr().out.splitlines()] == [
        "not un",
        "undone",
        "not un",
    ]
    assert erased(settings_of_both.postgres.dsn) == 2


def test_what_comes_while_an_erasure_is_undone_is_told(
    settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings_of_both, "--yes", "a")
    undo = Erasures.undo

    def late(self: Erasures, uids: Sequence[str]) -> None:
        put(settings_of_both, [Sent(encode(order_document(order_uid="a")))], settings_of_both.kafka.topic)
        undo(self, uids)

    monkeypatch.setattr(Erasures, "undo", late)
    with pytest.raises(CommandRefused, match="`orders rewind` reads them again"):
        run(settings_of_both, "--undo", "a")
    topic = settings_of_both.kafka.topic
    assert f"a: undone, but {topic}, partition 0, offset 0 has just come" in capsys.readouterr().out


def test_undoing_wants_ids(settings_of_both: Settings) -> None:
    with pytest.raises(InvalidSettings, match="--undo needs the ids"):
        run(settings_of_both, "--undo", "--forget-older-than", "40d")


def store(settings: Settings, *uids: str) -> None:
    with closing(OrderWriter(Transactions(Access(settings.postgres.dsn, "tests")))) as writer:
        writer.store([versioned(order_uid=uid) for uid in uids])


def stored(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {uid for (uid,) in connection.execute("SELECT order_uid FROM orders")}


def settings_of(harness: Harness) -> Settings:
    return Settings(postgres=Postgres(dsn=harness.database))


# Forgotten


def keep(settings: Settings, **seconds: float) -> None:
    """Have each topic keep segments of an hour for so long after their last record; -1 is for ever."""
    admin = AdminClient(properties.common(settings.kafka))
    for topic, retention in (
        (settings.kafka.topic, seconds["orders"]),
        (f"{settings.kafka.topic}.dlq", seconds["dlq"]),
    ):
        wanted = {"segment.ms": 3_600_000, "retention.ms": round(retention * 1_000) if retention >= 0 else -1}
        entries = [
            ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin.incremental_alter_configs([resource])[resource].result(SECONDS)


@pytest.mark.parametrize(
    ("orders_kept", "dead_letters_kept", "refusal"),
    [
        (7 * DAY, 7 * DAY - 3_600, "may hold a record for 7.04167 days"),
        (7 * DAY - 3_600, 30 * DAY, r"\.dlq may hold a record for 30.0417 days"),
        (-1, DAY, "may hold a record for ever"),
    ],
)
def test_an_erasure_is_not_forgotten_while_a_record_may_bring_the_order_back(
    settings_of_both: Settings, orders_kept: float, dead_letters_kept: float, refusal: str
) -> None:
    keep(settings_of_both, orders=orders_kept, dlq=dead_letters_kept)
    run(settings_of_both, "--yes", "a")
    age(settings_of_both.postgres.dsn, days=8)
    with pytest.raises(CommandRefused, match=refusal):
        run(settings_of_both, "--forget-older-than", "7d")
    assert erased(settings_of_both.postgres.dsn) == 1


def test_erasures_are_forgotten_that_are_older_than_what_the_topics_keep(
    settings_of_both: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(settings_of_both, orders=7 * DAY - 3_600, dlq=DAY)
    run(settings_of_both, "--yes", "old")
    age(settings_of_both.postgres.dsn, days=8)
    run(settings_of_both, "--yes", "young")
    assert run(settings_of_both, "--dry-run", "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures would be forgotten"
    assert erased(settings_of_both.postgres.dsn) == 2
    assert run(settings_of_both, "--forget-older-than", "7d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 erasures forgotten"
    assert erased(settings_of_both.postgres.dsn) == 1


def test_without_kafka_nothing_is_forgotten(settings_of_both: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_SECONDS", 0.5)
    run(settings_of_both, "--yes", "a")
    age(settings_of_both.postgres.dsn, days=800)
    away = settings_of_both.model_copy(update={"kafka": Kafka(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(CommandRefused, match=r"^cannot reach Kafka at 127\.0\.0\.1:9: "):
        run(away, "--forget-older-than", "700d")
    assert erased(settings_of_both.postgres.dsn) == 1


def age(dsn: str, days: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE erased SET erased_at = erased_at - %s * interval '1 day'", [days])
