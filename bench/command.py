"""`orders bench`: measures Orders and its baselines in the same run, on real servers."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Final, NamedTuple

import confluent_kafka
import psycopg

from bench import decoding, event_streams, ingest, latency, markdown, reads, report, usage, warm_up
from bench.context import Context
from bench.figures import Sample, figures_of
from local import broker, postgres
from service.pkg.argtypes import positive_float, positive_int
from service.pkg.exit_codes import ExitCode

Measure = Callable[[Context], Iterator[Sample]]

MEASURES: Final[Mapping[str, Measure]] = {
    "ingest": ingest.measure,
    "latency": latency.measure,
    "reads": reads.measure,
    "warm_up": warm_up.measure,
    "decoding": decoding.measure,
    "event_streams": event_streams.measure,
}
_PACKAGES: Final = ("orders", "confluent-kafka", "psycopg", "msgspec", "uvicorn")

echo = partial(print, file=sys.stderr, flush=True)
show = partial(print, flush=True)

QUICK_SCALE: Final = 0.05
QUICK_ROUNDS: Final = 1
ROUNDS: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=positive_int,
        help=f"number of measurements of each figure (default: {ROUNDS}, with --quick {QUICK_ROUNDS})",
    )
    parser.add_argument("--scale", type=positive_float, help="fraction of the full sizes (default: 1)")
    parser.add_argument(
        "--quick", action="store_true", help=f"one round at scale {QUICK_SCALE}, to check that the benchmark works"
    )
    parser.add_argument(
        "--stored",
        type=positive_int,
        default=ingest.LARGE_TABLE,
        help="orders in the large table (default: %(default)s; 10^7 need 15 GB of disk)",
    )
    parser.add_argument("--long", action="store_true", help="add a backlog of 10^6 orders")
    parser.add_argument("--only", action="append", choices=[*MEASURES], help="run only this group; can be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures and ratios to this file")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with an earlier run's --json file")
    parser.add_argument("--bootstrap-servers", help="use this Kafka instead of starting one")
    parser.add_argument("--dsn", help="use this PostgreSQL instead of starting one; creates databases in it")


def rounds_of(args: argparse.Namespace) -> int:
    default = QUICK_ROUNDS if args.quick else ROUNDS
    return args.rounds or default


def scale_of(args: argparse.Namespace) -> float:
    return args.scale or (QUICK_SCALE if args.quick else 1.0)


def run(args: argparse.Namespace, _settings: object, _stop: object) -> int:
    """Measure, print the report as Markdown, return the exit code. Progress goes to standard error.

    Raises ServerUnavailable, and CommandFailed if the earlier report cannot be read or the system is not Linux.
    """
    usage.require_linux()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that child processes are stopped
    earlier = report.read(args.against) if args.against else None
    with tempfile.TemporaryDirectory(prefix="orders-bench-") as folder, ExitStack() as running:
        kafka = _kafka(args, Path(folder), running)
        dsn = args.dsn or running.enter_context(postgres.postgres(Path(folder) / "postgresql")).dsn
        context = Context(kafka.bootstrap_servers, dsn, Path(folder), rounds_of(args), scale_of(args), echo)
        echo("Kafka and PostgreSQL are ready")
        now = _report(context, args, _versions(dsn) | {"Kafka": kafka.version})
    if args.json:
        report.write(now, args.json)
    show(markdown.render(now, earlier))
    return ExitCode.DONE


class _Kafka(NamedTuple):
    bootstrap_servers: str
    version: str


def _kafka(args: argparse.Namespace, folder: Path, running: ExitStack) -> _Kafka:
    """Return the given Kafka, or start one (never the mock cluster). Raises ServerUnavailable."""
    if args.bootstrap_servers:
        return _Kafka(args.bootstrap_servers, "as given")
    started = running.enter_context(broker.kafka(folder / "kafka", echo=echo))
    return _Kafka(started.bootstrap_servers, started.kind.removeprefix("Apache Kafka "))


def _report(context: Context, args: argparse.Namespace, versions: dict[str, str]) -> report.Report:
    started_at, load = datetime.now(UTC), os.getloadavg()
    figures = figures_of(_samples(context, args))
    circumstances = report.Circumstances(
        began=started_at.isoformat(timespec="seconds"),
        rounds=context.rounds,
        scale=context.scale,
        cpus=os.cpu_count() or 1,
        load_before=load,
        load_after=os.getloadavg(),
        versions=versions,
    )
    return report.create(figures, circumstances)


def _samples(context: Context, args: argparse.Namespace) -> Iterator[Sample]:
    measures: Mapping[str, Measure] = {
        **MEASURES,
        "ingest": partial(ingest.measure, stored=args.stored, long=args.long),
    }
    for name in args.only or measures:
        yield from measures[name](context)


def _versions(dsn: str) -> dict[str, str]:
    with psycopg.connect(dsn) as connection:
        server = connection.info.parameter_status("server_version") or "unknown"
    own = {name: version(name) for name in _PACKAGES}
    return own | {"librdkafka": confluent_kafka.libversion()[0], "Python": python_version(), "PostgreSQL": server}
