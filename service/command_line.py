"""The commands, and the parser of their arguments."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple, NoReturn

from service.errors import CommandFailed


class Command(NamedTuple):
    """A command is a module with a `run` (`app/run.py`) and optionally `add_arguments(parser)`, imported when it runs.

    Settings are loaded and logging is configured before `run` is called.
    """

    summary: str
    module: str


COMMANDS: Final = {
    "consumer": Command("read orders from Kafka and store them", "service.app.consumer.command"),
    "api": Command("serve orders over HTTP from memory", "service.app.api.command"),
    "migrate": Command("create or upgrade the schema, and create missing topics", "service.app.commands.migrate"),
    "wait-for-migrations": Command("block until the schema is up to date", "service.app.commands.wait_for_migrations"),
    "generate": Command("produce valid and faulty orders, reproducible by seed", "generator.generate"),
    "check": Command("compare the tables and the dead-letter topic with the generated orders", "generator.check"),
    "dlq": Command("list, show and replay dead letters", "service.app.commands.dlq.command"),
    "rewind": Command("set the consumer group back to a point in time", "service.app.commands.rewind"),
    "skip-batch": Command(
        "save a batch that cannot be decompressed to a file, and move the group past it",
        "service.app.commands.skip_batch",
    ),
    "erase": Command(
        "delete orders, skip their later messages, and list their dead letters", "service.app.commands.erase.command"
    ),
    "prune": Command("delete orders that are older than a given age", "service.app.commands.prune"),
    "distribute": Command("distribute the tables over the nodes of Citus", "service.app.commands.distribute.command"),
    "smoke": Command("send one order through Kafka and PostgreSQL, and read it back from the API", "generator.smoke"),
    "doctor": Command(
        "check Kafka, PostgreSQL and the schema registry, and print the settings without secrets",
        "service.app.commands.doctor.command",
    ),
    "schema": Command("print the order document's schema for producers", "service.app.commands.schema"),
    "completion": Command("print a script that completes commands in a shell", "service.app.commands.completion"),
    "demo": Command("run everything on this machine, with its own Kafka and PostgreSQL", "local.demo"),
    "bench": Command("run the benchmarks on real servers", "bench.command"),
}
NOT_INSTALLED: Final = {
    "local": "`orders demo` needs a checkout of the repository: run `make demo`, or `pip install -e '.[demo]'` there",
    "bench": "`orders bench` needs a checkout of the repository: run `make bench`",
}
_UNKNOWN_WORD: Final = re.compile(r"(?:invalid choice: '|unrecognized arguments: )(?P<word>[^'=\s]+)")


class Parser(argparse.ArgumentParser):
    """A parser with the global options, which suggests the nearest name for an unknown command or option.

    The parsers of its commands are of the same class.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_argument(
            "--log-format",
            choices=("auto", "json", "text"),
            default=argparse.SUPPRESS,  # else the default of a command would overwrite an option before the command
            help="format of the logs (default: ORDERS_LOG__FORMAT)",
        )

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Exit at an unknown argument: its command knows the nearest one, and the parser of all commands does not."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        super().error(message + self._hint(message))

    def _hint(self, message: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - needed only here

        unknown = _UNKNOWN_WORD.search(message)
        nearest = get_close_matches(unknown["word"], self._words(), n=1) if unknown else []
        return f"; did you mean {nearest[0]}?" if nearest else ""

    def _words(self) -> Iterator[str]:
        for action in self._actions:
            yield from action.option_strings
            yield from map(str, action.choices or ())


def import_command(name: str) -> ModuleType:
    """Import the module of a command. Raises CommandFailed if its package is not installed."""
    module = COMMANDS[name].module
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in NOT_INSTALLED:
            raise
        raise CommandFailed(NOT_INSTALLED[error.name]) from None


def parser(modules: Mapping[str, ModuleType]) -> Parser:
    """Return a parser of all commands, with the arguments of those whose modules are given."""
    root = Parser(
        prog="orders",
        description="Reads orders from Kafka, stores them in PostgreSQL, and serves them over HTTP from memory.",
        epilog="Settings are environment variables ORDERS_<GROUP>__<NAME>; `orders doctor` prints them. "
        "Without a command, ORDERS_MODE=consumer|api selects one.",
    )
    root.set_defaults(log_format=None)
    root.add_argument("--version", action="store_true", help="print the version and exit")
    root.add_argument(
        "--json", action="store_true", dest="is_json_requested", help="print one JSON object, if the command has data"
    )
    commands = root.add_subparsers(title="commands", metavar="COMMAND")
    for name, (summary, _) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if add_arguments := getattr(modules.get(name), "add_arguments", None):
            add_arguments(command)
    return root


def parse(root: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; `--json` before the command applies to it."""
    options = root.parse_args(arguments)
    if options.is_json_requested and not options.version:
        if not isinstance(getattr(options, "json", None), bool):
            root.error("--json: this command prints no data")
        options.json = True
    return options
