"""The command line: mode -> settings -> logs -> command -> exit code.

Exit codes: 0 done or drained, 1 failed, 2 wrong usage or settings, 130 interrupted by Ctrl-C before the end, 141 the
reader of standard output has gone.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from service.entities.errors import CommandRefused, InvalidSettings, OrdersError
from service.pkg import output
from service.pkg.run_with_timeout import has_unfinished_calls
from service.pkg.shutdown_event import was_interrupted

if TYPE_CHECKING:
    from service.config import Settings

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

Run = Callable[[argparse.Namespace, "Settings"], int]
LogFormat = str | None


class Command(NamedTuple):
    """A command is a module, which is imported when it runs: `run(args, settings)` and perhaps `add_arguments(parser)`.

    The settings are loaded and the logs configured before `run`, which returns the exit code.
    """

    summary: str
    module: str


COMMANDS: Final = {
    "consumer": Command("read orders from Kafka and store them", "service.app.consumer"),
    "api": Command("serve orders over HTTP from memory", "service.app.api"),
    "migrate": Command("create or upgrade the schema and the topics", "service.app.commands.migrate"),
    "wait-for-migrations": Command("block until the schema is there", "service.app.commands.wait_for_migrations"),
    "generate": Command("produce valid and faulty orders, the same for the same seed", "generator.command"),
    "check": Command("compare the tables and the dead-letter topic with what was generated", "generator.check"),
    "dlq": Command("list, show and replay dead letters", "service.app.commands.dlq"),
    "rewind": Command("read the order topic again from a point in time", "service.app.commands.rewind"),
    "skip-batch": Command(
        "save a batch that consumers can't decompress to a file, and move the group past it",
        "service.app.commands.skip_batch",
    ),
    "erase": Command(
        "remove orders, refuse them from now on, and list their dead letters", "service.app.commands.erase"
    ),
    "smoke": Command("send one order through everything and read it back from the API", "generator.smoke"),
    "doctor": Command("check every dependency; print the settings without secrets", "service.app.commands.doctor"),
    "demo": Command("run everything on this machine, with servers of its own", "local.demo"),
    "bench": Command("measure the speed on real servers, as ratios within one run", "bench.command"),
}
MODES: Final = ("consumer", "api")
NOT_INSTALLED: Final = {
    "local": "`orders demo` runs from a checkout of the repository: make demo, or pip install -e '.[demo]' there",
    "bench": "`orders bench` runs from a checkout of the repository: make bench",
}


def run() -> NoReturn:
    """Run one command and end the process: the console script `orders` and `python -m service`."""
    code = main()
    if has_unfinished_calls():
        # Such a call may be inside a C library that calls back into Python: finalizing the interpreter could crash it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    output.provide_streams()
    try:
        return _flushed([*(sys.argv[1:] if arguments is None else arguments)])
    except InvalidSettings as error:
        print(f"orders: {error}", file=sys.stderr)
        return USAGE
    except OrdersError as error:
        print(f"orders: {error}", file=sys.stderr)
        return INTERRUPTED if was_interrupted() else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the text of a traceback could hold personal data
        return _end_by(error)


def _flushed(arguments: list[str]) -> int:
    """Run the command and write out what it printed: at exit a failure to write could no longer be reported."""
    try:
        return _run(arguments)
    finally:
        sys.stdout.flush()


def _end_by(error: Exception) -> int:
    if output.failed(error):
        return _without_output(error)
    if isinstance(error.__cause__, KeyboardInterrupt):  # C code of a client library was interrupted
        return INTERRUPTED
    _log_unhandled(error)
    return FAILED


def _without_output(error: Exception) -> int:
    output.discard()
    if isinstance(error, BrokenPipeError):
        return output.SIGPIPE_EXIT_CODE
    print("orders: no space left on device", file=sys.stderr)
    return FAILED


def _log_unhandled(error: Exception) -> None:
    import structlog

    from service import logs

    if not structlog.is_configured():
        logs.configure()
    structlog.get_logger("orders").error("unhandled error (this is a bug)", exc_info=error)


def _run(arguments: list[str]) -> int:
    """Run the command, or the one that `ORDERS_MODE` names where none is given."""
    name = next((each for each in arguments if each in COMMANDS), None)
    module = _imported(name) if name else None
    options = _parser(name, module).parse_args(arguments)

    from service import config, logs

    logs.configure()
    settings = config.load()
    logs.configure(settings.log.level, options.log_format or settings.log.format)
    if module is None:
        module = _imported(_mode(settings))
    return _run_module(module, options, settings)


def _imported(name: str) -> ModuleType:
    """Import the module of a command. Raises CommandRefused where its package is not installed."""
    module = COMMANDS[name].module
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in NOT_INSTALLED:
            raise
        raise CommandRefused(NOT_INSTALLED[error.name]) from None


def _parser(name: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the arguments of the one that is named."""
    parser = argparse.ArgumentParser(
        prog="orders",
        description="Reads orders from Kafka, stores them in PostgreSQL, and serves them over HTTP from memory.",
        epilog="Settings are environment variables ORDERS_<GROUP>__<NAME>; `orders doctor` prints them. "
        "Without a command, ORDERS_MODE=consumer|api chooses.",
    )
    parser.add_argument("--version", action="version", version=f"orders {version('orders')}")
    parser.add_argument("--log-format", choices=("json", "text"), help="how logs are written; text is for people")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for each, (summary, _) in COMMANDS.items():
        command = commands.add_parser(each, help=summary, description=summary)
        if each == name and (add_arguments := getattr(module, "add_arguments", None)):
            add_arguments(command)
    return parser


def _mode(settings: "Settings") -> str:
    if settings.mode is None:
        raise InvalidSettings("ORDERS_MODE: neither it nor a command is given; `orders --help` lists the commands")
    return settings.mode


def _run_module(module: ModuleType, options: argparse.Namespace, settings: "Settings") -> int:
    """Run the command; errors of the Kafka client are to_command_error. Raises OrdersError."""
    from confluent_kafka import KafkaException

    from service.handler.kafka.client import properties
    from service.handler.kafka.client.connection_errors import to_command_error

    run: Run = module.run
    try:
        return run(options, settings)
    except KafkaException as error:
        if (problem := properties.invalid_property(error)) is None:
            raise to_command_error(error, properties.common(settings.kafka)) from None
        raise InvalidSettings(f"ORDERS_KAFKA__PROPERTIES: {problem}") from None
