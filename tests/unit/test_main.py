"""The command line: which command runs, and its exit code."""

import json
import os
import signal
import threading
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pytest
import structlog

from service import logs, main
from service.app.commands import wait_for_migrations
from service.app.run import Run
from service.command_line import COMMANDS
from service.config import Settings
from service.errors import CommandFailed, InvalidSettings, StorageUnavailable
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.config import unset_all

NAMES = [
    "consumer", "api", "migrate", "wait-for-migrations", "generate", "check", "dlq", "rewind", "skip-batch",
    "erase", "prune", "distribute", "doctor", "schema", "completion", "demo", "bench",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_all(monkeypatch)
    monkeypatch.setattr(logs, "configure", lambda *_: None)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the commands that ran; each is replaced by a stub."""
    names: list[str] = []
    monkeypatch.setattr(main, "import_command", lambda name: module_with(recorder(name, names)))
    return names


def recorder(name: str, names: list[str]) -> Run:
    def run(_options: Any, _settings: Settings, _stop: ShutdownEvent) -> int:
        names.append(name)
        return 0

    return run


def module_with(run: Callable[..., int]) -> ModuleType:
    module = ModuleType("command")
    module.run = run  # type: ignore[attr-defined]
    return module


def run_with(monkeypatch: pytest.MonkeyPatch, run: Callable[..., int]) -> None:
    monkeypatch.setattr(main, "import_command", lambda _: module_with(run))


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_every_documented_command_exists() -> None:
    assert set(NAMES) <= COMMANDS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_each_command_runs_its_module(ran: list[str], name: str) -> None:
    assert main.main([name]) == 0
    assert ran == [name]


@pytest.mark.parametrize("mode", ["consumer", "api"])
def test_without_a_command_the_mode_runs(ran: list[str], monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("ORDERS_MODE", mode)
    assert main.main([]) == 0
    assert main.main(["--log-format", "text"]) == 0
    assert ran == [mode, mode]


def test_a_command_takes_precedence_over_the_mode(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_MODE", "api")
    assert main.main(["migrate"]) == 0
    assert ran == ["migrate"]


def test_neither_mode_nor_command_is_a_usage_error(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 2
    assert only_line(capsys).startswith("orders: ORDERS_MODE: ")
    assert ran == []


@pytest.mark.parametrize("mode", ["worker", "migrate", "Consumer"])
def test_an_unknown_mode_is_a_usage_error(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    monkeypatch.setenv("ORDERS_MODE", mode)
    assert main.main([]) == 2
    assert only_line(capsys) == "orders: ORDERS_MODE: input should be 'consumer' or 'api'"
    assert ran == []


@pytest.mark.parametrize("arguments", [["worker"], ["--verbose"], ["consumer", "extra"], ["--log-format", "xml"]])
def test_unknown_arguments_are_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2


def test_an_invalid_setting_is_named_and_nothing_runs(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORDERS_BATCH__MAX_MESSAGES", "none")
    assert main.main(["consumer"]) == 2
    assert only_line(capsys).startswith("orders: ORDERS_BATCH__MAX_MESSAGES: ")
    assert ran == []


@pytest.mark.parametrize(
    "command",
    [
        ["wait-for-migrations"],
        ["dlq", "list"],
        ["rewind", "--to-timestamp", "2026-11-23T10:00:00Z"],
        ["skip-batch", "0", "0", "--dry-run"],
        ["smoke", "--url", "http://127.0.0.1:1"],
        ["erase", "--forget-older-than", "400d"],
        ["erase", "abc"],
        ["api"],
        ["consumer"],
        ["generate"],
        ["check"],
    ],
    ids=" ".join,
)
def test_each_command_reports_an_unknown_property_in_the_same_words(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wait_for_migrations, "wait_for_migrations", lambda *_, **__: None)
    monkeypatch.setenv("ORDERS_KAFKA__PROPERTIES", '{"no.such.property": "1"}')
    assert main.main(command) == 2
    assert only_line(capsys) == "orders: ORDERS_KAFKA__PROPERTIES: librdkafka has no property no.such.property"


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ('{"nodots": "1"}', "librdkafka has no property nodots"),
        ('{"socket.timeout.ms": "hunter2"}', "librdkafka rejects the value of socket.timeout.ms"),
        ('{"socket.timeout.ms": -5}', "librdkafka rejects the value of socket.timeout.ms"),
        ('{"security.protocol": "hunter2"}', "librdkafka rejects the value of security.protocol"),
        (
            '{"security.protocol": "ssl", "ssl.ca.location": "/hunter2"}',
            "librdkafka rejects the value of ssl.ca.location",
        ),
        (
            '{"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}',
            "librdkafka rejects the value of sasl.username",
        ),
        (
            '{"security.protocol": "sasl_ssl", "sasl.mechanism": "hunter.two"}',
            "librdkafka rejects the value of a property",
        ),
        ('{"opaque": "hunter2"}', "librdkafka rejects the value of opaque"),
    ],
)
@pytest.mark.parametrize("command", [["api"], ["dlq", "list"]], ids=" ".join)
def test_an_invalid_property_is_reported_before_anything_connects(
    command: list[str],
    properties: str,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ORDERS_KAFKA__PROPERTIES", properties)
    assert main.main(command) == 2
    assert only_line(capsys) == f"orders: ORDERS_KAFKA__PROPERTIES: {problem}"


def test_of_several_properties_in_a_message_the_one_that_was_set_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORDERS_KAFKA__PROPERTIES", '{"retries": 0}')  # "… when `enable.idempotence` is true"
    assert main.main(["api"]) == 2
    assert only_line(capsys) == "orders: ORDERS_KAFKA__PROPERTIES: librdkafka rejects the value of retries"


def test_an_api_needs_two_ports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ORDERS_ADMIN__PORT", "8000")
    assert main.main(["api"]) == 2
    assert only_line(capsys) == "orders: ORDERS_ADMIN__PORT: must differ from ORDERS_HTTP__PORT"


def test_an_expected_error_is_printed_as_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with(monkeypatch, raising(StorageUnavailable("PostgreSQL is read-only", sqlstate="25006")))
    assert main.main(["doctor"]) == 1
    assert only_line(capsys) == "orders: PostgreSQL is read-only (SQLSTATE 25006)"


def test_an_unhandled_error_is_logged_without_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(monkeypatch, raising(RuntimeError("Failing row contains (Test Testov)")))
    with structlog.testing.capture_logs() as records:
        assert main.main(["doctor"]) == 1
    assert [record["event"] for record in records] == ["unhandled error (this is a bug)"]


def test_an_unhandled_error_of_a_thread_is_logged_without_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(os, "_exit", lambda _: None)
    monkeypatch.setattr(main, "main", lambda: 0)
    run: Any = main.run  # NoReturn, but for the line above
    run()
    with structlog.testing.capture_logs() as records:
        thread = threading.Thread(target=raising(RuntimeError("Failing row contains (Test Testov)")))
        thread.start()
        thread.join()
    assert [record["event"] for record in records] == ["unhandled error (this is a bug)"]


def test_an_interrupt_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(monkeypatch, raising(KeyboardInterrupt()))
    assert main.main(["doctor"]) == 130


def test_an_interrupt_in_c_code_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    error = SystemError("returned a result with an exception set")
    error.__cause__ = KeyboardInterrupt()
    run_with(monkeypatch, raising(error))
    assert main.main(["doctor"]) == 130


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGINT, CommandFailed("stopped before the end"), 130),
        (signal.SIGTERM, CommandFailed("stopped before the end"), 1),
        (signal.SIGINT, InvalidSettings("ORDERS_MODE: not set"), 2),
    ],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C and invalid settings"],
)
def test_a_command_that_fails_after_a_signal_says_whether_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    error: Exception,
    code: int,
) -> None:
    def fail(_options: Any, _settings: Settings, stop: ShutdownEvent) -> int:
        stop.set_at_signals()
        signal.raise_signal(number)
        raise error

    run_with(monkeypatch, fail)
    assert main.main(["doctor"]) == code
    assert only_line(capsys) == f"orders: {error}"


def test_a_command_that_succeeds_after_a_signal_exits_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def drain(_options: Any, _settings: Settings, stop: ShutdownEvent) -> int:
        stop.set_at_signals()
        signal.raise_signal(signal.SIGINT)
        return 0

    run_with(monkeypatch, drain)
    assert main.main(["doctor"]) == 0


def raising(error: BaseException) -> Callable[..., int]:
    def run(*_: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in NAMES)])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert all(name in output for name in (NAMES if arguments == ["--help"] else arguments[:1]))


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("generate", "--count"),
        ("check", "--after-crash"),
        ("dlq", "list|show|replay"),
        ("rewind", "--to-timestamp"),
        ("skip-batch", "--dry-run"),
        ("erase", "--undo"),
        ("prune", "--older-than"),
        ("smoke", "--url"),
        ("demo", "--reload"),
        ("bench", "--quick"),
    ],
)
def test_a_command_has_its_options(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main([command, "--help"])
    assert option in capsys.readouterr().out


def test_help_works_with_invalid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_MODE", "worker")
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])
    assert ended.value.code == 0


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"orders {version('orders')}\n"


@pytest.mark.parametrize("arguments", [["--version", "--json"], ["--json", "--version"]])
def test_the_version_can_be_printed_as_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"version": version("orders")}
