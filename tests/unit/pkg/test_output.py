"""Standard output that is missing, closed or full. `tests/commands/test_output.py` tests it in processes."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.pkg.output import discard_buffered, is_output_error, prepare_streams


@contextmanager
def output_to(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.TextIOWrapper]:
    with os.fdopen(descriptor, "w", encoding="latin-1") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        yield stream


def test_streams_that_the_process_was_started_without_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    prepare_streams()
    for stream in (sys.stdout, sys.stderr):
        assert (stream.name, stream.mode, stream.encoding) == (os.devnull, "w", "utf-8")
        stream.close()


def test_standard_output_becomes_utf_8_and_escapes_what_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    errors = sys.stderr
    prepare_streams()
    sys.stdout.write("\u0437\udcff")
    sys.stdout.flush()
    assert written.getvalue() == "\u0437".encode() + rb"\udcff"
    assert sys.stderr is errors


def test_an_output_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    prepare_streams()
    assert sys.stdout is output


def test_a_broken_pipe_is_that_of_standard_output_only_if_its_reader_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with output_to(writer, monkeypatch):
        assert not is_output_error(BrokenPipeError())
        os.close(reader)
        assert is_output_error(BrokenPipeError())


def test_a_full_disk_is_that_of_standard_output_only_if_no_file_is_named() -> None:
    full = os.strerror(errno.ENOSPC)
    assert is_output_error(OSError(errno.ENOSPC, full))
    assert not is_output_error(OSError(errno.ENOSPC, full, "saved.json"))
    assert not is_output_error(OSError(errno.EIO, "input/output error"))
    assert not is_output_error(ValueError())


def test_buffered_output_is_discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with output_to(writer, monkeypatch) as stream:
        stream.write("buffered")
        discard_buffered()
        stream.flush()
    with os.fdopen(reader, "rb") as received:
        assert received.read() == b""
