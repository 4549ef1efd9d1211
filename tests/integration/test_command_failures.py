"""Commands that fail name the cause and what to do, and Ctrl-C ends those that wait."""

import signal

import psycopg
import pytest

from service import main
from service.repo.writer.erased import SHARE_ERASURE_LOCK
from tests.kit import servers
from tests.kit.harness import Harness
from tests.kit.waiting import eventually

OF_TOPICS = [
    (["dlq", "list"], "read missing.dlq"),
    (["dlq", "show", "0", "0"], "read missing.dlq"),
    (["dlq", "replay", "--dry-run"], "read missing.dlq"),
    (["rewind", "--to-timestamp", "2026-11-23T10:00:00Z"], "read missing"),
    (["skip-batch", "0", "0", "--dry-run"], "read missing"),
    (["erase", "--forget-older-than", "400d"], "read the retention of missing and missing.dlq"),
]
LIMIT_SECONDS = 5.0


@pytest.mark.parametrize(("command", "problem"), OF_TOPICS, ids=[" ".join(command) for command, _ in OF_TOPICS])
def test_a_missing_topic_is_named_with_the_command_that_creates_it(
    kafka_server: servers.Kafka,
    command: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ORDERS_KAFKA__BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("ORDERS_KAFKA__TOPIC", "missing")
    monkeypatch.setenv("ORDERS_KAFKA__DEAD_LETTER_TOPIC", "missing.dlq")
    assert main.main(command) == 1
    assert capfd.readouterr().err.splitlines() == [
        f"orders: cannot {problem}: unknown topic or partition (UNKNOWN_TOPIC_OR_PART); `orders migrate` creates topics"
    ]


@pytest.mark.parametrize(
    "command",
    [["erase", "--yes", "a"], ["erase", "--dry-run", "a"], ["prune", "--older-than", "400d", "--dry-run"]],
    ids=" ".join,
)
def test_a_missing_schema_is_reported_with_the_command_that_creates_it(
    database: str,
    admin: psycopg.Connection,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    admin.execute("DROP TABLE orders CASCADE")
    monkeypatch.setenv("ORDERS_POSTGRES__DSN", database)
    assert main.main(command) == 1
    assert capfd.readouterr().err == (
        "orders: the schema or the role's privileges do not match this release (SQLSTATE 42P01): "
        "run `orders migrate`, or check the role's privileges with `orders doctor`\n"
    )


@pytest.mark.parametrize("command", [["erase", "--yes", "a"], ["prune", "--older-than", "400d", "--yes"]], ids=" ".join)
def test_ctrl_c_ends_a_command_that_waits_for_a_batch(
    harness: Harness, admin: psycopg.Connection, command: list[str]
) -> None:
    with psycopg.connect(harness.database) as writer:
        writer.execute(SHARE_ERASURE_LOCK)
        waiting = harness.spawn(*command, settings=harness.settings)
        eventually(
            lambda: admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone(),
            30,
            "the lock",
        )
        waiting.process.send_signal(signal.SIGINT)
        assert waiting.process.wait(LIMIT_SECONDS) == 130
    assert waiting.tail(1) == "orders: interrupted: the last change may be committed: run the command again"
    assert admin.execute("SELECT FROM erased").fetchall() == []
