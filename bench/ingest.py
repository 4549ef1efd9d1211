"""Throughput, CPU time and memory of the consumer, compared with baselines and with itself under other conditions.

Consumers are processes as users run them. The database refuses connections until all of them have joined the group, so
that neither startup nor a rebalance is measured; by then each has decoded at most two batches.
All variants are timed from the first commit to the last, without the messages of the first one. Consumers commit
offsets after each batch, and the broker records the time; the baselines commit rows, and report the time themselves.
CPU time is measured from the first allowed connection until the last offset is committed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from bench import blocks
from bench.consumers import started
from bench.context import Context
from bench.databases import ID_COLUMNS, TABLES, Database, checkpoint, copied, migrated
from bench.figures import Sample
from bench.groups import Group
from bench.ingest_result import IngestResult
from bench.processes import child, run_for_result
from bench.topics import Topic, dated_now, filled
from bench.usage import PostgresUsage
from service.errors import ServerUnavailable

BACKLOG: Final = 100_000
LONG_BACKLOG: Final = 1_000_000
_MIN_BACKLOG: Final = 10_000
"""A smaller backlog has too few batches to be timed."""
_BASELINE_MESSAGES: Final = 2_000
_GROWTH_ORDERS: Final = 50_000
_STEADY_ORDERS: Final = 100_000
LARGE_TABLE: Final = 1_000_000
_SMALL_TABLE_TRANSACTIONS: Final = 5
"""10^4 orders."""

_RUN_TIMEOUT_SECONDS: Final = 600.0

_CLEAN_SEED, _DIRTY_SEED, _LONG_SEED = 1, 2, 3
_GROWTH_SEED, _COPY_SEED, _STEADY_SEED = 1_000, 2_000, 3_000
"""Plus the number of the round."""


class Run(NamedTuple):
    """The result of one variant in one round. None: not measured."""

    rate: float
    """Messages per second."""
    client: float | None = None
    """CPU microseconds per message."""
    postgresql: float | None = None
    """CPU microseconds per message."""
    memory: int | None = None
    """Bytes."""

    def samples(self, name: str, unit: str = "orders/s") -> Iterator[Sample]:
        yield Sample(name, unit, self.rate)
        for part, each, value in (
            ("client", "us/order", self.client),
            ("postgresql", "us/order", self.postgresql),
            ("memory", "bytes", self.memory),
        ):
            if value is not None:
                yield Sample(f"{name}.{part}", each, value)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that is created before the first round."""

    context: Context
    usage: PostgresUsage
    template: Database
    clean: Topic
    dirty: Topic
    stored: Database
    """Contains the orders of the clean topic."""
    blocks: Path
    """The same orders as blocks for COPY."""
    small: Database
    """Contains 10^4 orders; copied in each round."""
    large: Database
    """Contains many orders; more are added in each round."""


def measure(context: Context, *, stored: int = LARGE_TABLE, long: bool = False) -> Iterator[Sample]:
    """Yield the samples of each round, variant by variant.

    `stored` is the number of orders in the large table. `long` adds a backlog of 10^6.
    """
    with _setup(context, context.scaled(stored)) as setup:
        yield Sample("ingest.large.stored", "orders", setup.large.stored())
        for number in range(context.rounds):
            context.echo(f"ingest: round {number + 1} of {context.rounds}")
            yield from _round(setup, number)
    if long:
        yield from _long_backlog(context)


def _round(setup: Setup, number: int) -> Iterator[Sample]:
    """Yield the samples of each variant. Each round starts with another variant, so that none is always the first."""
    variants: list[tuple[str, Callable[[Setup], Run]]] = [
        ("ingest.orders", _clean),
        ("ingest.copy", _copy_blocks),
        ("ingest.baseline", _baseline),
        ("ingest.consume", _consume),
        ("ingest.dirty", _dirty),
        ("ingest.redelivery", _redelivery),
        ("ingest.two", partial(_clean, members=2)),
        ("ingest.four", partial(_clean, members=4)),
    ]
    first = number % len(variants)
    for name, run in variants[first:] + variants[:first]:
        yield from run(setup).samples(name)
    yield from _growth(setup, number)


@contextmanager
def _setup(context: Context, large: int) -> Iterator[Setup]:
    usage, prepared = PostgresUsage(context.dsn), context.folder / "blocks"
    count = context.scaled(BACKLOG, _MIN_BACKLOG)
    dirty_plan = dated_now(count=count, seed=_DIRTY_SEED, duplicates=0.05, invalid=0.01)
    context.echo(f"ingest: creating topics of {count} orders, and databases of up to {large} orders")
    with (
        migrated(context) as template,
        filled(context, dated_now(count=count, seed=_CLEAN_SEED)) as clean,
        filled(context, dirty_plan) as dirty,
        copied(context, template.name) as stored,
        copied(context, template.name) as small,
    ):
        consume(context, usage, clean, stored)
        blocks.prepare(stored, prepared)
        _load(small, prepared, _SMALL_TABLE_TRANSACTIONS)
        with copied(context, stored.name) as grown:
            _multiply(grown, max(large // clean.orders, 1))
            yield Setup(
                context=context,
                usage=usage,
                template=template,
                clean=clean,
                dirty=dirty,
                stored=stored,
                blocks=prepared,
                small=small,
                large=grown,
            )


def consume(
    context: Context,
    usage: PostgresUsage,
    topic: Topic,
    database: Database,
    *,
    members: int = 1,
    new: int | None = None,
) -> Run:
    """Consume `topic` with a new group; verify that `database` then has `new` more orders (None: all of the topic).

    Raises ServerUnavailable.
    """
    expected = database.stored() + (topic.orders if new is None else new)
    run = _run_consumers(context, usage, topic, database, members)
    _require_stored(database, expected)
    return run


def _run_consumers(context: Context, usage: PostgresUsage, topic: Topic, database: Database, members: int) -> Run:
    group = Group(context, topic.name)
    database.refuse_connections()
    with started(context, topic, database, group, members) as consumers:
        before = consumers.cpu_seconds(), usage.cpu_seconds()
        database.allow_connections()
        consumers.wait(lambda: group.committed() >= topic.messages, "the topic to be consumed", _RUN_TIMEOUT_SECONDS)
        after = consumers.cpu_seconds(), usage.cpu_seconds()
        memory = consumers.peak_bytes()
    messages, seconds = group.progress()
    group.delete()
    client, postgresql = (_microseconds_each(*pair, topic.messages) for pair in zip(before, after, strict=True))
    return Run(messages / seconds, client, postgresql, memory)


def _require_stored(database: Database, expected: int) -> None:
    """Raise ServerUnavailable if another number of orders is stored, because the measurement is then invalid."""
    if (stored := database.stored()) != expected:
        raise ServerUnavailable(f"invalid measurement: {stored} orders are stored instead of {expected}")


def _microseconds_each(before: float | None, after: float | None, messages: int) -> float | None:
    return None if before is None or after is None else (after - before) / messages * 1e6


def _clean(setup: Setup, *, members: int = 1) -> Run:
    with copied(setup.context, setup.template.name) as database:
        return consume(setup.context, setup.usage, setup.clean, database, members=members)


def _dirty(setup: Setup) -> Run:
    with copied(setup.context, setup.template.name) as database:
        return consume(setup.context, setup.usage, setup.dirty, database)


def _redelivery(setup: Setup) -> Run:
    checkpoint(setup.context)
    return consume(setup.context, setup.usage, setup.clean, setup.stored, new=0)


def _copy_blocks(setup: Setup) -> Run:
    with copied(setup.context, setup.template.name) as database:
        return _run_baseline(setup, database, "copy_blocks", str(setup.blocks))


def _baseline(setup: Setup) -> Run:
    count = setup.context.scaled(_BASELINE_MESSAGES, 200)
    with copied(setup.context, setup.template.name) as database:
        return _run_baseline(setup, database, "message_at_a_time", setup.clean.name, str(count))


def _consume(setup: Setup) -> Run:
    with copied(setup.context, setup.template.name) as database:
        run = _run_baseline(setup, database, "consume_only", setup.clean.name, str(setup.clean.messages), stores=False)
    return run._replace(postgresql=None)


def _run_baseline(setup: Setup, database: Database, module: str, *arguments: str, stores: bool = True) -> Run:
    """Run a module of bench.baselines, and verify the number of orders that it stored."""
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": setup.context.bootstrap_servers,
        "ORDERS_POSTGRES__DSN": database.dsn,
    }
    process = child(setup.context, module, [f"bench.baselines.{module}", *arguments], settings)
    stored, before = database.stored(), setup.usage.cpu_seconds()
    result = run_for_result(process, IngestResult, _RUN_TIMEOUT_SECONDS)
    after = setup.usage.cpu_seconds()
    _require_stored(database, stored + (result.all_messages if stores else 0))
    return Run(result.rate, result.cpu_microseconds, _microseconds_each(before, after, result.all_messages))


def _growth(setup: Setup, number: int) -> Iterator[Sample]:
    """Store new orders in a small and in a large table.

    After a checkpoint, PostgreSQL logs each page in full when it first changes. `large_steady` starts after as many
    orders as `large` stores have been written since the checkpoint.
    """
    context = setup.context
    with (
        _new_orders(context, _GROWTH_ORDERS, _GROWTH_SEED + number) as topic,
        copied(context, setup.small.name) as small,
    ):
        yield from consume(context, setup.usage, topic, small).samples("ingest.small")
        checkpoint(context)
        yield from consume(context, setup.usage, topic, setup.large).samples("ingest.large")
    yield from _copy_into_large(setup, number).samples("ingest.large_copy")
    with _new_orders(context, _STEADY_ORDERS, _STEADY_SEED + number) as topic:
        yield from consume(context, setup.usage, topic, setup.large).samples("ingest.large_steady")


def _new_orders(context: Context, count: int, seed: int) -> AbstractContextManager[Topic]:
    return filled(context, dated_now(count=context.scaled(count, _MIN_BACKLOG), seed=seed))


def _copy_into_large(setup: Setup, number: int) -> Run:
    """Copy orders that the large table does not have, with ids that follow its own."""
    context, prepared = setup.context, setup.context.folder / f"blocks-{number}"
    with (
        _new_orders(context, _GROWTH_ORDERS, _COPY_SEED + number) as topic,
        copied(context, setup.template.name) as source,
    ):
        consume(context, setup.usage, topic, source)
        blocks.prepare(source, prepared, after_id=setup.large.greatest_id())
    checkpoint(context)
    run = _run_baseline(setup, setup.large, "copy_blocks", str(prepared))
    with psycopg.connect(setup.large.dsn, autocommit=True) as connection:
        connection.execute(_SKIP_STORED_IDS)
    return run


def _long_backlog(context: Context) -> Iterator[Sample]:
    """Consume a long backlog with one consumer, to measure its peak memory."""
    count = context.scaled(LONG_BACKLOG, _MIN_BACKLOG)
    context.echo(f"ingest: a backlog of {count} orders")
    with (
        migrated(context) as database,
        filled(context, dated_now(count=count, seed=_LONG_SEED)) as topic,
    ):
        run = consume(context, PostgresUsage(context.dsn), topic, database)
        yield from run.samples("ingest.backlog")


def _load(database: Database, folder: Path, transactions: int) -> None:
    _, prepared = blocks.read(folder, transactions)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for _ in blocks.load(connection, prepared):
            pass
        connection.execute(_SKIP_STORED_IDS)


_DISABLE_CONSTRAINTS: Final = SQL("SET LOCAL session_replication_role = replica")
"""Foreign keys need no checks, because the rows are copies of valid ones."""
_MULTIPLY: Final = SQL("""\
INSERT INTO {table} ({columns})
SELECT {values} FROM {table} CROSS JOIN generate_series(1, {copies}) AS number""")
_NEW_UID: Final = SQL("left(md5(order_uid || number), 19)")
"""Random, with the length of generated ones."""
_NEW_ID: Final = SQL("{column} + number * {step}")
_SKIP_STORED_IDS: Final = "SELECT setval('orders_id_seq', (SELECT max(id) FROM orders))"


def _multiply(database: Database, factor: int) -> None:
    """Copy each order `factor` - 1 times on the server, with new ids and uids. The copies keep the original's shard."""
    columns, greatest = {table: database.columns(table) for table in TABLES}, database.greatest_id()
    with psycopg.connect(database.dsn) as connection:
        connection.execute(_DISABLE_CONSTRAINTS)
        for table in TABLES:
            connection.execute(_multiply_statement(table, columns[table], factor - 1, greatest))
        connection.execute(_SKIP_STORED_IDS)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _multiply_statement(table: str, columns: Sequence[str], copies: int, step: int) -> Composed:
    new = {
        "order_uid": _NEW_UID,
        ID_COLUMNS[table]: _NEW_ID.format(column=Identifier(ID_COLUMNS[table]), step=step),
    }
    return _MULTIPLY.format(
        table=Identifier(table),
        columns=SQL(", ").join(map(Identifier, columns)),
        values=SQL(", ").join(new.get(name, Identifier(name)) for name in columns),
        copies=copies,
    )
