"""The command line: mode -> settings -> logs -> command -> exit code (`pkg/exit_codes.py`)."""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from service.command_line import COMMANDS, import_command, parse, parser
from service.errors import InvalidSettings, OrdersError, UsageError
from service.pkg import output
from service.pkg.exit_codes import ExitCode
from service.pkg.shutdown_event import ShutdownEvent

if TYPE_CHECKING:
    from service.config import Settings


def run() -> NoReturn:
    """Run one command and end the process."""
    threading.excepthook = _log_unhandled_in_thread
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # `main` has reported it
            stream.flush()
    # Not sys.exit: while Python and OpenSSL clean up, a TLS handshake in a thread of librdkafka crashes the process.
    os._exit(code)


def _raise_at_ctrl_c() -> None:
    """Replace the handler of `service/__main__.py`: the command can clean up."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    output.prepare_streams()
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


def _log_unhandled_in_thread(failure: threading.ExceptHookArgs) -> None:
    """Replace Python's traceback, which could contain personal data."""
    if isinstance(failure.exc_value, Exception):
        _log_unhandled(failure.exc_value)


def _run(arguments: list[str], stop: ShutdownEvent) -> int:
    """Run the command; without one, the mode that `ORDERS_MODE` selects."""
    name = next((each for each in arguments if each in COMMANDS), None)
    module = import_command(name) if name else None
    options = parse(parser({name: module} if name and module else {}), arguments)
    if options.version:
        output.echo(_version(is_json=options.is_json_requested))
        return ExitCode.DONE

    from service import config, logs
    from service.app.run import run_command

    logs.configure()
    settings = config.load()
    logs.configure(settings.log.level, options.log_format or settings.log.format)
    if module is None:
        module = import_command(_mode(settings))
    _raise_at_ctrl_c()
    return run_command(module.run, options, settings, stop)


def _version(*, is_json: bool) -> str:
    from importlib.metadata import version

    return json.dumps({"version": version("orders")}) if is_json else f"orders {version('orders')}"


def _mode(settings: "Settings") -> str:
    if settings.mode is None:
        raise InvalidSettings(
            "ORDERS_MODE: not set, and no command given; run `orders --help` for the list of commands"
        )
    return settings.mode
