"""`orders distribute`: distributes the tables over the nodes of Citus. Run again, it continues where it ended."""

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from service.app.commands.distribute.obstacles import describe
from service.app.database import ApplicationName, connection_settings
from service.config import Settings
from service.errors import CommandFailed, StatementTimedOut, StorageError
from service.pkg.argtypes import positive_int
from service.pkg.exit_codes import ExitCode
from service.pkg.report import Report, add_json_option, reporting
from service.repo.connection_errors import require_postgres
from service.repo.conninfo import listen_conninfos
from service.repo.operations.distribution import PostgresTableDistributor
from service.usecases.distribute import plan
from service.usecases.ports.operations import TableDistribution

_DEFAULT_SHARD_COUNT: Final = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="print the SQL statements and any obstacles, and change nothing"
    )
    parser.add_argument(
        "--shard-count", type=positive_int, default=_DEFAULT_SHARD_COUNT, metavar="N",
        help="number of shards, two to four per core of the workers (default: %(default)s)",
    )  # fmt: skip
    add_json_option(parser)


def run(args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Distribute the tables that are not yet distributed; return the exit code. Raises CommandFailed, StorageError."""
    with reporting(args) as report, closing(_distributor(settings, args.shard_count)) as distributor:
        planned = plan(distributor)
        tables = [
            {"name": each.name, "statement": distributor.statement(each), "bytes": each.size_bytes}
            for each in planned.remaining
        ]
        obstacles = [describe(obstacle) for obstacle in planned.obstacles]
        report.add(remaining=tables, distributed=[], obstacles=obstacles, is_dry_run=args.dry_run)
        if not planned.remaining and not obstacles:
            report.line("all tables are distributed: nothing to do")
            return ExitCode.DONE
        if args.dry_run:
            _preview(planned.remaining, distributor, report)
        _require_none(obstacles)
        if not args.dry_run:
            for done, table in enumerate(planned.remaining, 1):
                _distribute(table, distributor, report)
                report.add(remaining=tables[done:], distributed=tables[:done])
    return ExitCode.DONE


def _distributor(settings: Settings, shard_count: int) -> PostgresTableDistributor:
    """Connect as `orders migrate` does, with its timeouts. Raises CommandFailed."""
    conninfo, limits = listen_conninfos(settings.postgres)[0], settings.migration
    require_postgres(conninfo)
    connection = replace(
        connection_settings(settings.postgres, ApplicationName.DISTRIBUTE),
        conninfo=conninfo,
        statement_timeout=limits.statement_timeout,
        lock_timeout=limits.lock_timeout,
    )
    return PostgresTableDistributor(connection, ApplicationName.CONSUMER, shard_count)


def _preview(tables: Sequence[TableDistribution], distributor: PostgresTableDistributor, report: Report) -> None:
    for table in tables:
        report.line(f"{distributor.statement(table)};  -- copies {table.size_bytes / 2**20:,.1f} MiB of rows")


def _require_none(obstacles: Sequence[str]) -> None:
    if obstacles:
        raise CommandFailed(f"cannot distribute the tables: {'; '.join(obstacles)}")


def _distribute(table: TableDistribution, distributor: PostgresTableDistributor, report: Report) -> None:
    report.line(f"{distributor.statement(table)};  -- copying {table.size_bytes / 2**20:,.1f} MiB of rows")
    try:
        distributor.distribute(table)
    except StatementTimedOut as error:
        raise CommandFailed(
            f"cannot distribute {table.name}: {error}: raise ORDERS_MIGRATION__STATEMENT_TIMEOUT"
        ) from None
    except StorageError as error:
        raise CommandFailed(
            f"cannot distribute {table.name}: {error}; PostgreSQL's log has the cause. "
            "Run the command again to continue."
        ) from None
