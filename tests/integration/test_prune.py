"""`orders prune` with a real Kafka and PostgreSQL, a consumer and an API."""

import argparse
import json
import re
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest
from structlog.testing import capture_logs

from service.app.commands import prune
from service.config import PostgresSettings, Settings
from service.config.settings import RetentionSettings
from service.errors import CommandFailed, UsageError
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit import stores
from tests.kit.factories import Document, order_document, versioned
from tests.kit.harness import MAX_STALE_SECONDS, Harness, metric, order_status, orders
from tests.kit.terminal import terminal_input
from tests.kit.waiting import eventually

DAY = 86_400


def date(days_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).isoformat().replace("+00:00", "Z")


def document(uid: str, days_ago: float) -> Document:
    return order_document(order_uid=uid, date_created=date(days_ago))


def store(dsn: str, **days_ago: float) -> None:
    stores.store(dsn, *(versioned(order_uid=uid, date_created=date(days)) for uid, days in days_ago.items()))


def run(dsn: str, *arguments: str, max_age: float | None = None) -> int:
    """Run `orders prune ARGUMENTS` in this process and return its exit code."""
    parser = argparse.ArgumentParser()
    prune.add_arguments(parser)
    settings = Settings(postgres=PostgresSettings(dsn=dsn), retention=RetentionSettings(max_age=max_age))
    return prune.run(parser.parse_args(arguments), settings, ShutdownEvent())


# With a running consumer and API


def test_a_pruned_order_returns_404_within_a_second_and_is_not_stored_again(harness: Harness) -> None:
    a, b, c = document("a", 401), document("b", 399), document("c", 0)
    consumer, api = harness.consumer(), harness.spawn("api", settings=harness.settings).ready()
    harness.produce(*orders([a, b]))
    harness.wait_stored({"a", "b"})
    eventually(lambda: order_status(api, "a") == 200)
    assert httpx2.get(f"{api.url}/orders/a").headers["x-cache"] == "hit"
    assert consumer.stop() == 0
    consumer = harness.consumer(ORDERS_RETENTION__MAX_AGE="400d")

    assert "Z: 1 deleted" in harness.output_of("prune", "--older-than", "400d", "--yes")
    eventually(lambda: order_status(api, "a") == 404, MAX_STALE_SECONDS)
    assert order_status(api, "b") == 200

    harness.produce(*orders([a, c]))
    harness.wait_committed({0: 4})
    harness.produce_dead_letter(a, offset=1_000)
    assert "1  sent" in harness.output_of("dlq", "replay")
    harness.wait_committed({0: 5})
    assert metric(consumer, "orders_expired_skipped_total") == 2

    assert consumer.stop() == 0
    assert "5 offsets will be read again" in harness.output_of("rewind", "--to-timestamp", "2001-01-01T00:00:00Z")
    again = harness.consumer(ORDERS_RETENTION__MAX_AGE="400d")
    harness.produce(*orders([document("d", 0)]))
    harness.wait_committed({0: 6})
    assert metric(again, "orders_expired_skipped_total") > 0
    assert len(harness.dead_letters()) == 1  # the one produced above
    assert harness.stored() == {"b", "c", "d"}
    warmed = harness.spawn("api", settings=harness.settings).ready()
    assert [order_status(each, uid) for each in (api, warmed) for uid in "abcd"] == [404, 200, 200, 200] * 2


def test_sigterm_ends_it_between_two_transactions_and_the_next_run_continues(harness: Harness) -> None:
    store(harness.database, a=402, b=401, new=0)
    command = harness.spawn("prune", "--older-than", "400d", "--yes", "--rate", "0.01", settings=harness.settings)
    eventually(lambda: len(harness.stored()) == 2, 30, "the first transaction")
    assert command.stop() == 1
    (logged,) = command.logged("orders pruned")
    assert logged["orders"] == 1
    assert command.tail(1) == "orders: stopped before the end: run the same command to continue"
    assert harness.stored() == {"b", "new"}
    assert "Z: 1 deleted" in harness.output_of("prune", "--older-than", "400d", "--yes")
    assert harness.stored() == {"new"}


# Options


def test_a_dry_run_prints_how_many_would_be_deleted_and_deletes_none(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store(database, a=401, b=402, c=399)
    for _ in range(2):
        assert run(database, "--older-than", "400d", "--dry-run", max_age=400 * DAY) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("orders created before 20")
        assert line.endswith("Z: 2 would be deleted")


def test_json_has_the_number_of_orders(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    store(database, a=401, b=402, c=399)
    assert run(database, "--older-than", "400d", "--dry-run", "--json") == 0
    preview = json.loads(capsys.readouterr().out)
    with capture_logs():
        assert run(database, "--older-than", "400d", "--yes", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert preview.keys() == {"created_before", "is_dry_run", "expired"}
    assert (preview["is_dry_run"], preview["expired"]) == (True, 2)
    assert (result["is_dry_run"], result["deleted"]) == (False, 2)


def test_json_requires_yes_or_a_dry_run(database: str) -> None:
    with pytest.raises(UsageError, match="prune: --json cannot ask for confirmation"):
        run(database, "--older-than", "400d", "--json")


def test_the_user_is_asked_for_confirmation_with_the_number_of_orders(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store(database, a=401, b=402, c=399)
    with terminal_input(monkeypatch, b"y\n"), capture_logs():
        assert run(database, "--older-than", "400d", max_age=400 * DAY) == 0
    preview, result = capsys.readouterr().out.splitlines()
    assert preview.endswith("Z: 2 would be deleted")
    assert re.fullmatch(r"Delete them permanently\? \[y/N\] orders created before .+Z: 2 deleted", result)


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"4d\n", b"\x04"], ids=["nothing", "no", "other", "end"])
def test_without_confirmation_nothing_is_deleted(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    store(database, a=401)
    with terminal_input(monkeypatch, answer), pytest.raises(CommandFailed, match="nothing was deleted"):
        run(database, "--older-than", "4d")
    capsys.readouterr()
    run(database, "--older-than", "4d", "--dry-run", max_age=4 * DAY)
    assert capsys.readouterr().out.endswith("Z: 1 would be deleted\n")


def test_without_a_terminal_yes_is_required_and_the_exit_code_is_2(harness: Harness) -> None:
    store(harness.database, a=401)
    command = harness.spawn("prune", "--older-than", "400d", settings=harness.settings)
    assert command.process.wait(60) == 2
    assert command.tail().splitlines() == [
        "orders: prune: cannot ask for confirmation: standard input is not a terminal. Use --yes or --dry-run."
    ]
    assert harness.stored() == {"a"}


def test_the_age_is_by_default_that_of_the_setting(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    store(database, a=401, b=399)
    with capture_logs() as logs:
        assert run(database, "--yes", max_age=400 * DAY) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("Z: 1 deleted")
    (logged,) = logs
    assert logged.items() >= {"event": "orders pruned", "log_level": "info", "orders": 1}.items()
    assert logged.keys() == {"event", "log_level", "orders", "created_before"}


@pytest.mark.parametrize("max_age", [None, 401 * DAY])
def test_it_says_if_consumers_store_the_pruned_orders_again(
    database: str, capsys: pytest.CaptureFixture[str], max_age: float | None
) -> None:
    run(database, "--older-than", "400d", "--yes", max_age=max_age)
    assert capsys.readouterr().out.startswith(
        "ORDERS_RETENTION__MAX_AGE is longer or not set: consumers store redelivered"
    )


def test_without_an_age_nothing_is_deleted(database: str) -> None:
    with pytest.raises(UsageError, match="--older-than is required, because ORDERS_RETENTION__MAX_AGE is not set"):
        run(database)


@pytest.mark.parametrize(
    "arguments", [["--older-than", "0d"], ["--older-than", "400"], ["--older-than", "40000d"], ["--rate", "-1"]]
)
def test_an_age_or_a_rate_out_of_range_is_a_usage_error(database: str, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(database, *arguments, max_age=DAY)
    assert ended.value.code == 2


def test_a_failure_is_reported_with_the_number_of_deleted_orders(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store(database, a=401)
    readonly = f"{database}?options=-cdefault_transaction_read_only%3Don"
    with pytest.raises(CommandFailed, match=r"PostgreSQL is read-only .*: run the command again"):
        run(readonly, "--older-than", "400d", "--yes")
    assert "Z: 0 deleted\n" in capsys.readouterr().out


def test_a_failed_dry_run_speaks_of_no_transaction(database: str, admin: psycopg.Connection) -> None:
    admin.execute("ALTER TABLE orders RENAME TO renamed")
    with pytest.raises(CommandFailed) as caught:
        run(database, "--older-than", "400d", "--dry-run")
    assert str(caught.value) == (
        "the schema or the role's privileges do not match this release (SQLSTATE 42P01): "
        "run `orders migrate`, or check the role's privileges with `orders doctor`"
    )
