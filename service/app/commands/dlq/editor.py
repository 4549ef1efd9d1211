"""Lets the user edit the content of a dead letter."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from service.entities.order import Order
from service.errors import CommandFailed, DocumentRejected
from service.handler.kafka.consumer.formats.content import decompressed
from service.pkg.output import echo
from service.pkg.prompt import require_confirmation
from service.usecases.ports.replay import EditedValue, ReplayRefusal, ReplaySource
from service.usecases.replay import ReplayPlan

Decode = Callable[[bytes], Order]
"""Raises DocumentRejected for a value that is not a valid order in an accepted format."""
_CONFLUENT_START: Final = b"\0"
_MAX_EDITED_BYTES: Final = 2**26


def edit_named(plan: ReplayPlan, source: ReplaySource, decode: Decode, *, asks: bool) -> ReplayPlan:
    """Let the user edit the only named dead letter; on a terminal, ask before it is sent.

    Raises CommandFailed if there is no such dead letter, it must not be replayed, or the user stops editing.
    """
    (named,) = plan.named or ()
    dead_letter = source.find(*named)
    refusal = ReplayRefusal.MISSING if dead_letter is None else plan.refusal(dead_letter)
    if dead_letter is None or refusal:
        raise CommandFailed(f"{named} {refusal and refusal.text}")
    edited = edit_document(dead_letter.value or b"", decode)
    if asks and sys.stdin.isatty():
        require_confirmation(f"Send the edited dead letter at {named}?", "nothing was sent")
    return replace(plan, edited=edited)


def edit_document(value: bytes, decode: Decode) -> EditedValue:
    """Open the editor until the document is valid; return it as compact JSON.

    Raises CommandFailed if the user stops editing, and, without a terminal, if the document is invalid.
    """
    text = _format(_text(value), indent=2)
    while True:
        text = _edit(text)
        document = _format(text, indent=-1)
        try:
            return EditedValue(document, decode(document).order_uid)
        except DocumentRejected as error:
            problems = [str(violation) for violation in error.violations]
        if not sys.stdin.isatty():
            raise CommandFailed(f"the edited document is invalid, and was not sent: {', '.join(problems)}")
        for problem in problems:
            echo(problem)
        require_confirmation("The document is invalid. Edit it again?", "nothing was sent")


def _text(value: bytes) -> bytes:
    """Return the value to edit, decompressed. An envelope stays around its document. Raises CommandFailed."""
    if value.startswith(_CONFLUENT_START):
        raise CommandFailed(
            "cannot edit a value in Confluent's wire format, which is not text: fix the cause, and replay it unchanged"
        )
    try:
        return decompressed(value, _MAX_EDITED_BYTES)
    except DocumentRejected:
        return value  # malformed


def _edit(text: bytes) -> bytes:
    """Return the edited text. Only the user can read its file, which is then deleted. Raises CommandFailed."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with TemporaryDirectory(prefix="orders-") as folder:  # mode 700
        path = Path(folder) / "dead-letter.json"
        path.touch(mode=0o600)
        path.write_bytes(text)
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603 - the user's own program
            return path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "malformed command"
            raise CommandFailed(f"cannot edit with {editor}: {reason}. Set VISUAL or EDITOR.") from None
        except subprocess.CalledProcessError as error:
            raise CommandFailed(f"{editor} ended with exit code {error.returncode}; nothing was sent") from None


def _format(value: bytes, *, indent: int) -> bytes:
    """Return the same JSON with other white space; malformed JSON stays as it is."""
    try:
        return msgspec.json.format(value, indent=indent)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return value
