"""`python -m tests.endurance`: processes millions of messages while faults happen, then checks every order.

The messages come from `orders generate`: orders, newer, older and repeated versions, tombstones and invalid messages.
Afterwards `orders check` compares all tables and the dead-letter topic with them. Exits 1 if one order is wrong, or if
the memory of the consumers has grown. ORDERS_ENDURANCE_TABLE=FILE writes the samples into that file, between its
markers.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg

from generator.orders import utc_now
from local import broker, postgres
from service.pkg.timestamps import rfc3339
from tests.endurance.faults import Servers
from tests.endurance.run import Run, Timer
from tests.endurance.samples import START, Sample, cells, growth, table
from tests.faults.table import write_into

TABLE: Final = os.environ.get("ORDERS_ENDURANCE_TABLE")
SHARES: Final = ("--invalid=0.01", "--duplicates=0.03", "--stale=0.02", "--updates=0.05", "--tombstones=0.005")
COMPRESSED: Final = '{"compression.type": "lz4"}'
CHECK_SECONDS: Final = 7_200.0
MAX_GROWTH: Final = 1.2
"""The largest consumer of the second half of the run, relative to that of the first half."""
SERVER_SETTINGS: Final = {"max_wal_size": "4GB", "checkpoint_timeout": "5min"}


def main(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="orders-endurance-", dir=arguments.folder) as name, ExitStack() as running:
        folder = Path(name)
        servers = Servers(
            running.enter_context(broker.kafka(folder / "kafka", echo=_print)),
            running.enter_context(postgres.postgres(folder)),
        )
        _configure(servers.postgres.dsn)
        run = Run(servers, folder, running)
        run.prepare()
        plan = (f"--count={arguments.count}", f"--until={rfc3339(utc_now().replace(microsecond=0))}", *SHARES)
        samples = _samples(run, plan, arguments)
        _print(run.complete("check", "--after-crash", *plan, within=CHECK_SECONDS))
    if TABLE:
        write_into(Path(TABLE), table(samples), "endurance")
    grown = growth(samples)
    _print(f"the consumers' memory in the second half relative to the first: {grown:.2f} (at most {MAX_GROWTH})")
    return 0 if grown <= MAX_GROWTH else 1


def _samples(run: Run, plan: tuple[str, ...], arguments: argparse.Namespace) -> list[Sample]:
    generator = run.start("generate", f"--rate={arguments.rate}", *plan, ORDERS_KAFKA__PROPERTIES=COMPRESSED)
    samples: list[Sample] = []
    timers = {"fault_timer": Timer(arguments.fault_every), "sample_timer": Timer(arguments.sample_every)}
    for sample in run.samples(generator, **timers):
        _print("  ".join(cells(samples[-1] if samples else START, sample)))
        samples.append(sample)
    assert generator.process.returncode == 0, generator.tail()
    return samples


def _configure(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in SERVER_SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        connection.execute("SELECT pg_reload_conf()")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="number of messages (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=0, help="messages per second; 0 for no limit")
    parser.add_argument("--fault-every", type=float, default=45.0, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("--sample-every", type=float, default=60.0, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("--folder", help="where logs and the servers' data are stored until the end")
    sys.exit(main(parser.parse_args()))
