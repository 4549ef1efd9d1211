"""`orders completion`: prints a script that completes commands and options in a shell."""

import argparse
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from service.command_line import COMMANDS, import_command, parser
from service.errors import CommandFailed
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo

_SHELLS: Final = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=_SHELLS, help="the shell that evaluates the script")
    parser.epilog = (
        'For this session, in bash or zsh: eval "$(orders completion bash)"; in fish: orders completion fish | source'
    )


def run(args: argparse.Namespace, _settings: object, _stop: object) -> int:
    """Print the script; return the exit code."""
    import shtab  # noqa: PLC0415 - no other use of the parser needs it

    echo(shtab.complete(parser(dict(_modules())), args.shell))
    return ExitCode.DONE


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield all commands that are installed."""
    for name in COMMANDS:
        try:
            yield name, import_command(name)
        except CommandFailed:
            continue
