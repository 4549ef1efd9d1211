"""The command line: mode -> settings -> logs -> command -> exit code (`pkg/exit_codes.py`)."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from service.errors import CommandError, InvalidSettings, OrdersError, UsageError
from service.pkg import output
from service.pkg.exit_codes import ExitCode
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import Settings


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
    "dlq": Command("list, show and replay dead letters", "service.app.commands.dlq"),
    "rewind": Command("set the consumer group back to a point in time", "service.app.commands.rewind"),
    "skip-batch": Command(
        "save a batch that cannot be decompressed to a file, and move the group past it",
        "service.app.commands.skip_batch",
    ),
    "erase": Command(
        "delete orders, skip their later messages, and list their dead letters", "service.app.commands.erase"
    ),
    "prune": Command("delete orders that are older than a given age", "service.app.commands.prune"),
    "distribute": Command("distribute the tables over the nodes of Citus", "service.app.commands.distribute"),
    "smoke": Command("send one order through Kafka and PostgreSQL, and read it back from the API", "generator.smoke"),
    "doctor": Command(
        "check Kafka and PostgreSQL, and print the settings without secrets", "service.app.commands.doctor"
    ),
    "demo": Command("run everything on this machine, with its own Kafka and PostgreSQL", "local.demo"),
    "bench": Command("run the benchmarks on real servers", "bench.command"),
}
NOT_INSTALLED: Final = {
    "local": "`orders demo` needs a checkout of the repository: run `make demo`, or `pip install -e '.[demo]'` there",
    "bench": "`orders bench` needs a checkout of the repository: run `make bench`",
}


def run() -> NoReturn:
    """Run one command and end the process: the console script `orders` and `python -m service`."""
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # `main` has reported it
            stream.flush()
    # Not sys.exit: while Python and OpenSSL clean up, a TLS handshake in a thread of librdkafka crashes the process.
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    output.open_missing_streams()
    stop = ShutdownEvent()
    try:
        return _run_and_flush([*(sys.argv[1:] if arguments is None else arguments)], stop)
    except (InvalidSettings, UsageError) as error:
        print(f"orders: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except OrdersError as error:
        print(f"orders: {error}", file=sys.stderr)
        return ExitCode.INTERRUPTED if stop.was_interrupted() else ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback could contain personal data
        return _exit_code(error)


def _run_and_flush(arguments: list[str], stop: ShutdownEvent) -> int:
    """Run the command and flush its output: at interpreter exit a write error could no longer be reported."""
    try:
        return _run(arguments, stop)
    finally:
        sys.stdout.flush()


def _exit_code(error: Exception) -> int:
    if output.is_output_error(error):
        return _exit_code_of_failed_output(error)
    if isinstance(error.__cause__, KeyboardInterrupt):  # raised inside C code
        return ExitCode.INTERRUPTED
    _log_unhandled(error)
    return ExitCode.FAILED


def _exit_code_of_failed_output(error: Exception) -> int:
    output.discard_buffered()
    if isinstance(error, BrokenPipeError):
        return ExitCode.BROKEN_PIPE
    print("orders: no space left on device", file=sys.stderr)
    return ExitCode.FAILED


def _log_unhandled(error: Exception) -> None:
    import structlog

    from service import logs

    if not structlog.is_configured():
        logs.configure()
    structlog.get_logger("orders").error("unhandled error (this is a bug)", exc_info=error)


def _run(arguments: list[str], stop: ShutdownEvent) -> int:
    """Run the command; without one, the mode that `ORDERS_MODE` selects."""
    name = next((each for each in arguments if each in COMMANDS), None)
    module = _import(name) if name else None
    options = _parser(name, module).parse_args(arguments)

    from service import config, logs
    from service.app.run import run_command

    logs.configure()
    settings = config.load()
    logs.configure(settings.log.level, options.log_format or settings.log.format)
    if module is None:
        module = _import(_mode(settings))
    return run_command(module.run, options, settings, stop)


def _import(name: str) -> ModuleType:
    """Import the module of a command. Raises CommandError if its package is not installed."""
    module = COMMANDS[name].module
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in NOT_INSTALLED:
            raise
        raise CommandError(NOT_INSTALLED[error.name]) from None


def _parser(name: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """Return a parser for all commands, with the arguments of command `name`."""
    parser = argparse.ArgumentParser(
        prog="orders",
        description="Reads orders from Kafka, stores them in PostgreSQL, and serves them over HTTP from memory.",
        epilog="Set options with environment variables ORDERS_<GROUP>__<NAME>; `orders doctor` prints them. "
        "Without a command, ORDERS_MODE=consumer|api selects one.",
    )
    parser.add_argument("--version", action="version", version=f"orders {version('orders')}")
    parser.add_argument(
        "--log-format", choices=("json", "text"), help="format of the logs (default: ORDERS_LOG__FORMAT)"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for each, (summary, _) in COMMANDS.items():
        command = commands.add_parser(each, help=summary, description=summary)
        if each == name and (add_arguments := getattr(module, "add_arguments", None)):
            add_arguments(command)
    return parser


def _mode(settings: "Settings") -> str:
    if settings.mode is None:
        raise InvalidSettings(
            "ORDERS_MODE: not set, and no command given; run `orders --help` for the list of commands"
        )
    return settings.mode
