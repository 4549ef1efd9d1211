"""A question to the user at the terminal."""

import sys
from contextlib import suppress

from service.errors import CommandFailed, UsageError


def require_terminal(command: str, *, is_json: bool = False) -> None:
    """Raise UsageError if the user cannot be asked: no terminal, or a program reads the output."""
    if is_json:
        raise UsageError(f"{command}: --json cannot ask for confirmation. Use --yes or --dry-run.")
    if not sys.stdin.isatty():
        raise UsageError(
            f"{command}: cannot ask for confirmation: standard input is not a terminal. Use --yes or --dry-run."
        )


def require_confirmation(question: str, refusal: str) -> None:
    """Ask the user. Raises CommandFailed(refusal) unless the answer is yes."""
    with suppress(EOFError):
        if input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}:
            return
    raise CommandFailed(refusal)
