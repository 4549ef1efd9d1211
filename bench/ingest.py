"""How fast orders come in, and what that costs: our consumer beside the limit, the usual way, and itself elsewhere.

Consumers are processes as users run them. They join, share the partitions and read, but the database lets nobody in
until all of them have: what is timed holds no start of an interpreter and no rebalance, and two batches at most are
decoded by then. The time is that between the first commit and the last, and what the first one covers is not counted,
for all variants alike: ours commit offsets after each batch, and the broker keeps the time; the others commit rows,
and tell the time themselves. Processor time is counted from when the database opens until the last offset is committed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from bench import blocks
from bench.context import Context
from bench.databases import TABLES, Database, checkpoint, copied, migrated
from bench.figures import Sample
from bench.groups import Group
from bench.processes import Service, await_that, child, told
from bench.topics import Topic, filled
from bench.usage import PostgresUsage, cpu_seconds, peak_bytes
from generator.stream import Plan
from service.errors import ServerUnavailable

BACKLOG: Final = 100_000
LONG_BACKLOG: Final = 1_000_000
_LEAST_BACKLOG: Final = 10_000
"""Below that a run has too few batches to be timed."""
_BASELINE: Final = 2_000
_GROWTH: Final = 50_000
LARGE: Final = 1_000_000
LONG_LARGE: Final = 10_000_000
_SMALL_TRANSACTIONS: Final = 5
"""10^4 orders."""

_JOIN_SECONDS: Final = 60.0
_SOON_SHARED: Final = '{"heartbeat.interval.ms": 300}'
"""With a heartbeat a member learns that others came; it costs nothing that could be measured."""
_RUN_SECONDS: Final = 600.0

_CLEAN_SEED, _DIRTY_SEED, _LONG_SEED, _GROWTH_SEED = 1, 2, 3, 1_000


class Run(NamedTuple):
    """What one variant did in one round: messages a second, and microseconds and bytes where they are known."""

    rate: float
    client: float | None = None
    postgresql: float | None = None
    memory: int | None = None

    def samples(self, name: str, unit: str = "orders/s") -> Iterator[Sample]:
        yield Sample(name, unit, self.rate)
        for part, each, value in (
            ("client", "us/order", self.client),
            ("postgresql", "us/order", self.postgresql),
            ("memory", "bytes", self.memory),
        ):
            if value is not None:
                yield Sample(f"{name}.{part}", each, value)


@dataclass(frozen=True)
class Setup:
    """All that is made before the first round."""

    context: Context
    usage: PostgresUsage
    template: Database
    clean: Topic
    dirty: Topic
    stored: Database
    """Holds the orders of the clean topic."""
    blocks: Path
    """The same orders, prepared for COPY."""
    small: Database
    """Holds 10^4 orders, and is copied."""
    large: Database
    """Holds many, and grows by a few in each round."""


def measure(context: Context, *, long: bool = False) -> Iterator[Sample]:
    """Yield the figures of each round, variant by variant. `long` adds a backlog of 10^6 and a table of 10^7."""
    with _setup(context, LONG_LARGE if long else LARGE) as setup:
        yield Sample("ingest.large.stored", "orders", setup.large.stored())
        for number in range(context.rounds):
            context.echo(f"ingest: round {number + 1} of {context.rounds}")
            yield from _round(setup, number)
    if long:
        yield from _long_backlog(context)


def _round(setup: Setup, number: int) -> Iterator[Sample]:
    """Yield from each variant; each round starts with another one, so that none is always the first."""
    variants: list[tuple[str, Callable[[Setup], Run]]] = [
        ("ingest.ours", _ours),
        ("ingest.raw", _copy_blocks),
        ("ingest.baseline", _baseline),
        ("ingest.consume", _consume),
        ("ingest.dirty", _dirty),
        ("ingest.redelivery", _redelivery),
        ("ingest.two", partial(_ours, members=2)),
        ("ingest.four", partial(_ours, members=4)),
    ]
    first = number % len(variants)
    for name, run in variants[first:] + variants[:first]:
        yield from run(setup).samples(name)
    yield from _growth(setup, number)


@contextmanager
def _setup(context: Context, large: int) -> Iterator[Setup]:
    usage, prepared = PostgresUsage(context.dsn), context.folder / "blocks"
    count = context.scaled(BACKLOG, _LEAST_BACKLOG)
    dirty_plan = Plan(count=count, seed=_DIRTY_SEED, duplicates=0.05, invalid=0.01)
    context.echo(f"ingest: making topics with {count} orders each, and databases of up to {context.scaled(large)}")
    with (
        migrated(context) as template,
        filled(context, Plan(count=count, seed=_CLEAN_SEED)) as clean,
        filled(context, dirty_plan) as dirty,
        copied(context, template.name) as stored,
        copied(context, template.name) as small,
    ):
        consume(context, usage, clean, stored)
        blocks.prepare(stored, prepared)
        _load(small, prepared, _SMALL_TRANSACTIONS)
        with copied(context, stored.name) as grown:
            _multiply(grown, context.scaled(large) // clean.orders)
            yield Setup(context, usage, template, clean, dirty, stored, prepared, small, grown)


def consume(
    context: Context,
    usage: PostgresUsage,
    topic: Topic,
    database: Database,
    *,
    members: int = 1,
    new: int | None = None,
) -> Run:
    """Have consumers of a new group work off `topic`, and look that `database` then has `new` orders more.

    All of the topic's by default. Raises ServerUnavailable.
    """
    wanted = database.stored() + (topic.orders if new is None else new)
    group = Group(context, topic.name)
    database.close()
    with ExitStack() as running:
        consumers = [_consumer(context, topic, database, group) for _ in range(members)]
        for each in consumers:
            running.enter_context(each.process)
        _await(consumers, partial(group.is_shared_by, members), "the consumers to share the partitions", _JOIN_SECONDS)
        before = _clients_cpu(consumers), usage.cpu_seconds()
        database.open()
        _await(consumers, lambda: group.committed() >= topic.messages, "the topic to be worked off", _RUN_SECONDS)
        after = _clients_cpu(consumers), usage.cpu_seconds()
        memory = max(peak_bytes(each.process.pid) for each in consumers if each.process.pid)
    messages, seconds = group.progress()
    group.forget()
    _require_stored(database, wanted)
    client, postgresql = (_each(*pair, topic.messages) for pair in zip(before, after, strict=True))
    return Run(messages / seconds, client, postgresql, memory)


def _clients_cpu(consumers: Sequence[Service]) -> float:
    return sum(cpu_seconds(each.process.pid) for each in consumers if each.process.pid)


def _consumer(context: Context, topic: Topic, database: Database, group: Group) -> Service:
    settings = {
        "ORDERS_KAFKA__BOOTSTRAP_SERVERS": context.bootstrap_servers,
        "ORDERS_KAFKA__TOPIC": topic.name,
        "ORDERS_KAFKA__DEAD_LETTER_TOPIC": topic.dead_letters,
        "ORDERS_KAFKA__GROUP_ID": group.id,
        "ORDERS_KAFKA__PROPERTIES": _SOON_SHARED,
        "ORDERS_POSTGRES__DSN": database.dsn,
        "ORDERS_RETRY__MAX_BACKOFF": "0.1",  # how long after the database opened one may still wait
        "ORDERS_LOG__LEVEL": "error",  # and until then it warns
    }
    return Service(context, "consumer", settings)


def _await(consumers: Sequence[Service], holds: Callable[[], bool], what: str, seconds: float) -> None:
    def holds_and_all_live() -> bool:
        for each in consumers:
            each.process.require_alive()
        return holds()

    await_that(holds_and_all_live, what, seconds)


def _require_stored(database: Database, wanted: int) -> None:
    """Raise ServerUnavailable where it holds another number of orders: what was measured is then worth nothing."""
    if (stored := database.stored()) != wanted:
        raise ServerUnavailable(f"{stored} orders are stored, and not {wanted}: the measurement is worth nothing")


def _each(before: float | None, after: float | None, messages: int) -> float | None:
    """Return microseconds a message."""
    return None if before is None or after is None else (after - before) / messages * 1e6


def _ours(setup: Setup, *, members: int = 1) -> Run:
    with copied(setup.context, setup.template.name) as database:
        return consume(setup.context, setup.usage, setup.clean, database, members=members)


def _dirty(setup: Setup) -> Run:
    with copied(setup.context, setup.template.name) as database:
        return consume(setup.context, setup.usage, setup.dirty, database)


def _redelivery(setup: Setup) -> Run:
    checkpoint(setup.context)
    return consume(setup.context, setup.usage, setup.clean, setup.stored, new=0)


def _copy_blocks(setup: Setup) -> Run:
    return _of_child(setup, "copy_blocks", str(setup.blocks))


def _baseline(setup: Setup) -> Run:
    return _of_child(setup, "message_at_a_time", setup.clean.name, str(setup.context.scaled(_BASELINE, 200)))


def _consume(setup: Setup) -> Run:
    run = _of_child(setup, "consume_only", setup.clean.name, str(setup.clean.messages), stores=False)
    return run._replace(postgresql=None)


def _of_child(setup: Setup, module: str, *arguments: str, stores: bool = True) -> Run:
    """Run one of the programs beside this file on a fresh database, and look that it stored what it says it did."""
    with copied(setup.context, setup.template.name) as database:
        settings = {
            "ORDERS_KAFKA__BOOTSTRAP_SERVERS": setup.context.bootstrap_servers,
            "ORDERS_POSTGRES__DSN": database.dsn,
        }
        process = child(setup.context, module, [f"bench.baselines.{module}", *arguments], settings)
        before = setup.usage.cpu_seconds()
        pace = told(process, _RUN_SECONDS)
        after = setup.usage.cpu_seconds()
        _require_stored(database, pace.all_messages if stores else 0)
    return Run(pace.rate, pace.cpu_microseconds, _each(before, after, pace.all_messages))


def _growth(setup: Setup, number: int) -> Iterator[Sample]:
    """Yield how fast the same orders come into a small table and into a large one."""
    context = setup.context
    plan = Plan(count=context.scaled(_GROWTH, _LEAST_BACKLOG), seed=_GROWTH_SEED + number)
    with filled(context, plan) as topic, copied(context, setup.small.name) as small:
        yield from consume(context, setup.usage, topic, small).samples("ingest.small")
        checkpoint(context)
        yield from consume(context, setup.usage, topic, setup.large).samples("ingest.large")


def _long_backlog(context: Context) -> Iterator[Sample]:
    """Yield what one consumer holds at most while it works off a backlog that lasts."""
    count = context.scaled(LONG_BACKLOG, _LEAST_BACKLOG)
    context.echo(f"ingest: a backlog of {count} orders")
    with (
        migrated(context) as database,
        filled(context, Plan(count=count, seed=_LONG_SEED)) as topic,
    ):
        run = consume(context, PostgresUsage(context.dsn), topic, database)
        yield from run.samples("ingest.backlog")


def _load(database: Database, folder: Path, transactions: int) -> None:
    _, prepared = blocks.read(folder, transactions)
    with psycopg.connect(database.dsn) as connection:
        for _ in blocks.load(connection, prepared):
            pass


_WITHOUT_CHECKS: Final = SQL("SET LOCAL session_replication_role = replica")
"""What is a copy of valid rows need not be checked row by row."""
_AGAIN: Final = SQL("""\
INSERT INTO {table} ({columns})
SELECT {values} FROM {table} CROSS JOIN generate_series(1, {copies}) AS number""")
_OTHER_ID: Final = SQL("left(md5(order_uid || number), 19)")
"""As long as a generated one, and as random."""


def _multiply(database: Database, times: int) -> None:
    """Have the server store each of its orders `times` - 1 times more, under other ids."""
    statements = [_again(table, database.columns(table), times - 1) for table in TABLES]
    with psycopg.connect(database.dsn) as connection:
        connection.execute(_WITHOUT_CHECKS)
        for statement in statements:
            connection.execute(statement)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _again(table: str, columns: Sequence[str], copies: int) -> Composed:
    values = [_OTHER_ID if name == "order_uid" else Identifier(name) for name in columns]
    return _AGAIN.format(
        table=Identifier(table),
        columns=SQL(", ").join(map(Identifier, columns)),
        values=SQL(", ").join(values),
        copies=copies,
    )
