"""The command line: mode -> settings -> logs -> app -> exit code.

Exit codes: 0 done or drained, 1 failed, 2 wrong usage or settings, 130 interrupted by Ctrl-C before the end, 141 the
reader of standard output has gone.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final, NoReturn

import structlog
from confluent_kafka import KafkaException

from generator import check
from generator import command as generate
from service import config, logs
from service.app import erase, rewind, skip_batch, smoke
from service.bench.options import add_arguments as add_bench_arguments
from service.config import InvalidSettings, Settings
from service.dlq import commands as dlq
from service.embedded import demo
from service.entities.errors import OrdersError
from service.handler.kafka import properties
from service.handler.kafka.away import BOOTSTRAP_SERVERS, explained, require_kafka
from service.pkg import output
from service.pkg.deadline import has_unfinished_calls
from service.pkg.stop import was_interrupted
from service.repo.away import require_postgres

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

AddArguments = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace, Settings], int]


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
    logs.configure()
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
        if output.failed(error):
            return _without_output(error)
        structlog.get_logger("orders").error("unhandled error (this is a bug)", exc_info=error)
        return FAILED


def _flushed(arguments: list[str]) -> int:
    """Run the command and write out what it printed: at exit it would be too late to say that nobody takes it."""
    try:
        return _run(arguments)
    finally:
        sys.stdout.flush()


def _without_output(error: Exception) -> int:
    output.discard()
    if isinstance(error, BrokenPipeError):
        return output.BROKEN_PIPE
    print("orders: no space left on device", file=sys.stderr)
    return FAILED


def _run(arguments: list[str]) -> int:
    """Run the command, or what `ORDERS_MODE` names where none is given."""
    parser = _parser()
    options = parser.parse_args(arguments)
    settings = config.load()
    logs.configure(settings.log.level, options.log_format or settings.log.format)
    if options.run is None and settings.mode is None:
        raise InvalidSettings("ORDERS_MODE: neither it nor a command is given; `orders --help` lists the commands")
    run: Run = options.run or COMMANDS[str(settings.mode)][1]
    try:
        return run(options, settings)
    except KafkaException as error:
        if (problem := properties.refused(error)) is None:
            raise explained(error, properties.common(settings.kafka)) from None
        raise InvalidSettings(f"ORDERS_KAFKA__PROPERTIES: {problem}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orders",
        description="Reads orders from Kafka, stores each once in PostgreSQL, serves them over HTTP from memory.",
        epilog="Settings are environment variables ORDERS_<GROUP>__<NAME>; `orders doctor` prints them. "
        "Without a command, ORDERS_MODE=consumer|api chooses.",
    )
    parser.add_argument("--version", action="version", version=f"orders {version('orders')}")
    parser.add_argument("--log-format", choices=("json", "text"), help="how logs are written; text is for people")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (summary, run, add_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        if add_arguments:
            add_arguments(command)
    return parser


def _consumer(_options: argparse.Namespace, settings: Settings) -> int:
    from service.app.consumer import run_consumer

    return run_consumer(settings)


def _api(_options: argparse.Namespace, settings: Settings) -> int:
    from service.app.api import run_api

    return run_api(settings)


def _migrate(_options: argparse.Namespace, settings: Settings) -> int:
    from service.app.provision import run_migrate

    return run_migrate(settings)


def _wait(_options: argparse.Namespace, settings: Settings) -> int:
    from service.app.provision import run_wait_for_migrations

    return run_wait_for_migrations(settings)


def _generate(options: argparse.Namespace, settings: Settings) -> int:
    kafka = settings.kafka
    servers = options.bootstrap_servers or kafka.bootstrap_servers
    setting = "--bootstrap-servers" if options.bootstrap_servers else BOOTSTRAP_SERVERS
    client = properties.common(kafka) | {"bootstrap.servers": servers}
    return generate.run(
        options,
        bootstrap_servers=kafka.bootstrap_servers,
        topic=kafka.topic,
        properties=kafka.properties,
        require_kafka=lambda: require_kafka(client, setting=setting),
    )


def _check(options: argparse.Namespace, settings: Settings) -> int:
    kafka = settings.kafka

    def require_servers() -> None:
        require_kafka(properties.common(kafka))
        require_postgres(settings.postgres.dsn)

    return check.run(
        options,
        require_servers=require_servers,
        dsn=settings.postgres.dsn,
        bootstrap_servers=kafka.bootstrap_servers,
        topic=kafka.topic,
        dead_letter_topic=kafka.dead_letter_topic,
        group_id=kafka.group_id,
        properties=kafka.properties,
    )


def _dlq(options: argparse.Namespace, settings: Settings) -> int:
    kafka = settings.kafka
    require_kafka(properties.common(kafka))
    consumer, producer = properties.consumer(kafka), properties.producer(kafka)
    return dlq.run(options, kafka, consumer=properties.quiet(consumer), producer=properties.quiet(producer))


def _doctor(_options: argparse.Namespace, settings: Settings) -> int:
    from service.app import doctor

    return doctor.run(settings)


def _demo(options: argparse.Namespace, _settings: Settings) -> int:
    return demo.run(options)


def _bench(options: argparse.Namespace, _settings: Settings) -> int:
    from service.bench import command

    return command.run(options)


COMMANDS: Final[dict[str, tuple[str, Run, AddArguments | None]]] = {
    "consumer": ("read orders from Kafka and store them", _consumer, None),
    "api": ("serve orders over HTTP from memory", _api, None),
    "migrate": ("bring the schema and the topics to what this release needs", _migrate, None),
    "wait-for-migrations": ("block until the schema is there", _wait, None),
    "generate": ("produce valid and faulty orders, the same for the same seed", _generate, generate.add_arguments),
    "check": ("compare the tables and the dead-letter topic with what was generated", _check, check.add_arguments),
    "dlq": ("list, show and replay dead letters", _dlq, dlq.add_arguments),
    "rewind": ("read the order topic again from a point in time", rewind.run, rewind.add_arguments),
    "skip-batch": (
        "save a batch that consumers can't decompress to a file, and move the group past it",
        skip_batch.run,
        skip_batch.add_arguments,
    ),
    "erase": ("remove orders, keep them away, and list their dead letters", erase.run, erase.add_arguments),
    "smoke": ("send one order through everything and read it back from the API", smoke.run, smoke.add_arguments),
    "doctor": ("ask every dependency what is needed of it; print the settings without secrets", _doctor, None),
    "demo": ("run everything on this machine, with servers of its own", _demo, demo.add_arguments),
    "bench": ("measure the speed on real servers, as ratios within one run", _bench, add_bench_arguments),
}
