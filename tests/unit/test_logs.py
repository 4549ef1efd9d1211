"""Logs are JSON lines with fixed sentences; what an exception says is never in them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service import logs

SECRET = "Failing row contains (Test Testov, +9720000000)"  # noqa: S105 - psycopg's text


@pytest.fixture(autouse=True)
def _logging_stays_as_it_is() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("psycopg").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def fail() -> None:
    raise RuntimeError(SECRET) from ValueError(SECRET)


def test_a_record_is_one_line_of_json_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("orders").warning("a message was dead-lettered", reason="invalid", offset=5, detail="a\nb")
    (record,) = written(capsys)
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "a message was dead-lettered", "level": "warning", "reason": "invalid", "offset": 5, "detail": "a\nb",
    }  # fmt: skip


def test_the_standard_library_logs_alike(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("uvicorn").warning("started on %s", 8000)
    (record,) = written(capsys)
    assert (record["event"], record["level"]) == ("started on 8000", "warning")


def test_less_severe_records_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    for log in (structlog.get_logger(), logging.getLogger("other")):
        log.info("quiet")
        log.warning("loud")
    assert [record["event"] for record in written(capsys)] == ["loud", "loud"]


@pytest.mark.parametrize("fmt", ["json", "text"])
@pytest.mark.parametrize("standard", [True, False], ids=["logging", "structlog"])
def test_of_an_exception_type_and_place_are_logged_and_never_its_text(
    capsys: pytest.CaptureFixture[str],
    fmt: logs.Format,
    standard: bool,  # noqa: FBT001
) -> None:
    logs.configure(fmt=fmt)
    try:
        fail()
    except RuntimeError as error:
        if standard:
            logging.getLogger("lib").exception("it failed")
            logging.getLogger("lib").critical("it failed", exc_info=error)
        else:
            structlog.get_logger().exception("it failed")
            structlog.get_logger().critical("it failed", exc_info=error)
    text = capsys.readouterr().err
    assert text.count("it failed") == text.count("RuntimeError") == 2
    assert f"{__name__}:" in text
    assert "Testov" not in text
    assert "Traceback" not in text


def test_messages_of_the_driver_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logging.getLogger("psycopg.pool").warning("error connecting: %s", SECRET)
    logging.getLogger("psycopg").error("query failed: %s", SECRET)
    assert written(capsys) == []


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "expected"),
    [(True, "", "\x1b["), (True, "1", "[info"), (False, "", '"event": "ready"')],
)
def test_logs_are_text_with_colors_on_a_terminal_and_json_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,  # noqa: FBT001
    no_color: str,
    expected: str,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    logs.configure()
    structlog.get_logger().info("ready", port=8000)
    text = capsys.readouterr().err
    assert expected in text
    assert ("\x1b[" in text) == (expected == "\x1b[")


def test_configuring_twice_does_not_duplicate_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logs.configure()
    structlog.get_logger().info("once")
    assert len(written(capsys)) == 1
