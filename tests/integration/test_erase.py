"""`orders erase` with a real Kafka and PostgreSQL, a consumer and an API."""

import json

import httpx2
import pytest
from msgspec.json import encode

from service.config import KafkaSettings, PostgresSettings, Settings
from service.entities.dead_letter_headers import Header
from service.errors import CommandFailed, UsageError
from service.handler.kafka.client import diagnostics as connecting
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.erase_command import erased, produce, run, store, stored
from tests.kit.factories import order_document
from tests.kit.harness import MAX_STALE_SECONDS, Harness, Sent, metric, order_status, orders
from tests.kit.terminal import terminal_input
from tests.kit.waiting import eventually

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
    monkeypatch.setattr(connecting, "COMMAND_CONNECT_TIMEOUT_SECONDS", 0.5)
    unreachable = both_settings.model_copy(update={"kafka": KafkaSettings(bootstrap_servers="127.0.0.1:9")})
    with pytest.raises(
        CommandFailed,
        match=r"^erased, but listing the dead letters failed: cannot reach Kafka at 127\.0\.0\.1:9: ",
    ):
        run(unreachable, "--yes", "a")
    assert erased(both_settings.postgres.dsn) == 1


def test_an_interrupted_list_is_reported(both_settings: Settings) -> None:
    stop = ShutdownEvent()
    stop.set()
    with pytest.raises(
        CommandFailed, match="listing the dead letters failed: stopped before the end of the dead letters"
    ):
        run(both_settings, "--yes", "a", stop=stop)
    assert erased(both_settings.postgres.dsn) == 1


# Errors


def test_without_postgresql_nothing_is_erased_and_one_line_reports_it(both_settings: Settings) -> None:
    unreachable = both_settings.model_copy(
        update={"postgres": PostgresSettings(dsn="postgresql://u:hunter2@127.0.0.1:1/x")}
    )
    with pytest.raises(CommandFailed) as raised:
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


def test_json_has_the_state_of_each_order_and_the_dead_letters(
    both_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    store(both_settings, "there")
    produce(both_settings, [Sent(b"hello", b"typo", headers=[(Header.REASON, b"undecodable")])])
    assert run(both_settings, "--dry-run", "--json", "there", "typo") == 0
    preview = json.loads(capsys.readouterr().out)
    assert run(both_settings, "--yes", "--json", "there", "typo") == 0
    result = json.loads(capsys.readouterr().out)
    assert [order["state"] for order in preview["orders"]] == ["stored", "not-stored"]
    assert result == {
        "is_dry_run": False,
        "orders": [{"order_uid": "there", "state": "erased"}, {"order_uid": "typo", "state": "not-stored"}],
        "dead_letters": [{"order_uid": "typo", "partition": 0, "offset": 0, "reason": "undecodable"}],
    }


def test_json_requires_yes_or_a_dry_run(both_settings: Settings) -> None:
    with pytest.raises(UsageError, match="erase: --json cannot ask for confirmation"):
        run(both_settings, "--json", "a")


# Confirmation and dry run


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
    with terminal_input(monkeypatch, answer), pytest.raises(CommandFailed, match="nothing was erased"):
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


def settings_of(harness: Harness) -> Settings:
    return Settings(postgres=PostgresSettings(dsn=harness.database))


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
