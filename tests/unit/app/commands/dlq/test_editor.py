"""Editing a dead letter in the user's editor."""

import sys
from gzip import compress
from pathlib import Path

import pytest
from msgspec.json import encode

from service.app.commands.dlq.editor import edit_document
from service.app.decoding import value_decoder
from service.config import DocumentSettings
from service.errors import CommandFailed
from tests.kit.factories import SAMPLE
from tests.kit.terminal import terminal_input

DECODE = value_decoder(DocumentSettings())
BROKEN = encode(SAMPLE | {"sm_id": "99"})


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that runs the statements in this file, which change `text`, and records what it saw."""
    program, statements = tmp_path / "editor.py", tmp_path / "statements"
    program.write_text(
        "import pathlib, sys\n"
        "path, here = pathlib.Path(sys.argv[2]), pathlib.Path(__file__).parent\n"
        "text = path.read_text()\n"
        "(here / 'seen').write_text(f'{path}\\n{path.stat().st_mode & 0o777:o}\\n{text}')\n"
        "exec((here / 'statements').read_text())\n"
        "path.write_text(text)\n"
    )
    monkeypatch.setenv("EDITOR", "false")
    monkeypatch.setenv("VISUAL", f"{sys.executable} '{program}' --wait")
    return statements


def test_the_edited_document_is_returned_as_compact_json(editor: Path) -> None:
    editor.write_text("""text = text.replace('"sm_id": "99"', '"sm_id": 9007199254740993')""")
    edited = edit_document(BROKEN, DECODE)
    assert edited.order_uid == SAMPLE["order_uid"]
    assert edited.value == BROKEN.replace(b'"sm_id":"99"', b'"sm_id":9007199254740993')


def test_the_file_is_private_readable_and_deleted(editor: Path) -> None:
    editor.write_text("""text = text.replace('"99"', '99')""")
    edit_document(BROKEN, DECODE)
    path, mode, *lines = (editor.parent / "seen").read_text().splitlines()
    assert (mode, Path(path).parent.exists()) == ("600", False)
    assert '  "sm_id": "99",' in lines


def test_malformed_json_is_edited_as_it_is(editor: Path) -> None:
    editor.write_text("text = text[:-1]")
    assert edit_document(encode(SAMPLE) + b"}", DECODE).value == encode(SAMPLE)


def test_an_envelope_stays_around_its_document(editor: Path) -> None:
    editor.write_text("""text = text.replace('"99"', '99')""")
    event = {"specversion": "1.0", "data": SAMPLE | {"sm_id": "99"}}
    edited = edit_document(encode(event), DECODE)
    assert edited == (encode(event | {"data": SAMPLE}), SAMPLE["order_uid"])


def test_a_compressed_document_is_edited_as_text(editor: Path) -> None:
    editor.write_text("""text = text.replace('"99"', '99')""")
    assert edit_document(compress(BROKEN), DECODE).value == encode(SAMPLE)


def test_a_binary_value_is_refused(editor: Path) -> None:
    editor.write_text("")
    with pytest.raises(CommandFailed, match="cannot edit a value in Confluent's wire format"):
        edit_document(b"\0\0\0\0\7" + BROKEN, DECODE)


def test_a_value_without_an_order_is_refused(editor: Path) -> None:
    editor.write_text("text = 'null'")
    with pytest.raises(CommandFailed, match=r"invalid, and was not sent: contains no order$"):
        edit_document(BROKEN, DECODE)


def test_without_a_terminal_an_invalid_document_is_refused(editor: Path) -> None:
    editor.write_text("")
    with pytest.raises(CommandFailed, match=r"invalid, and was not sent: sm_id: Expected int, got str$"):
        edit_document(BROKEN, DECODE)


def test_on_a_terminal_an_invalid_document_can_be_edited_again(
    editor: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor.write_text("""text = text.replace('"98"', '99').replace('"99"', '"98"')""")
    with terminal_input(monkeypatch, b"y\n"):
        assert edit_document(BROKEN, DECODE).value == encode(SAMPLE)
    assert "sm_id: Expected int, got str" in capsys.readouterr().out


def test_on_a_terminal_editing_can_end(editor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor.write_text("")
    with terminal_input(monkeypatch, b"n\n"), pytest.raises(CommandFailed, match="nothing was sent"):
        edit_document(BROKEN, DECODE)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("false", "false ended with exit code 1; nothing was sent"),
        (
            "/no/such/editor -w",
            r"cannot edit with /no/such/editor -w: No such file or directory\. Set VISUAL or EDITOR",
        ),
        ("'", "cannot edit with ': malformed command"),
    ],
)
def test_an_editor_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, command: str, problem: str) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", command)
    with pytest.raises(CommandFailed, match=problem):
        edit_document(BROKEN, DECODE)
