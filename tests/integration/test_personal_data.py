"""Order data never appears in logs, metrics, traces, notifications, headers or errors.

All output is searched for marks, except the original parts of dead letters.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import psycopg
import pytest
from msgspec.json import encode

from local import postgres
from service.config import MigrationSettings
from service.entities.dead_letter_headers import DLQ_PREFIX, Header
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import OrderRejected
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import migrate
from tests.kit.collector import collecting
from tests.kit.harness import Harness, Sent, headers
from tests.kit.marks import (
    DIGITS,
    MARK,
    PASSWORDS,
    REJECT_MARKED,
    Output,
    generated_faults,
    invalid_orders,
    marked,
    rejected_orders,
    sent,
)
from tests.kit.notifications import listen
from tests.kit.processes import ROOT, Spawn
from tests.kit.proxy import proxied
from tests.kit.raw_producer import produce_with_header
from tests.kit.stores import store
from tests.kit.waiting import eventually

MAX_MESSAGE_BYTES = 100_000
"""Limit of the dead-letter topic, so that some dead letters become stubs."""
CONFIG_MAP = ROOT / "chart" / "templates" / "postgresql" / "configmap.yaml"


# Consumer and commands


def added_to_dead_letters(harness: Harness) -> bytes:
    """Return what the consumer added to the dead-letter topic: headers and stubs."""
    written = [
        b"%s: %s" % (name.encode(), value or b"")
        for dead_letter in harness.dead_letters()
        for name, value in headers(dead_letter)
        if name.startswith(DLQ_PREFIX)
    ]
    stubs = [
        dead_letter.value() or b""
        for dead_letter in harness.dead_letters()
        if dict(headers(dead_letter)).get(Header.STUB)
    ]
    assert stubs
    return b"\n".join([*written, *stubs])


def run(harness: Harness, *arguments: str, **variables: str) -> bytes:
    """Run a command until it exits, and return its output."""
    command = harness.spawn(*arguments, settings={**harness.settings, **variables})
    command.process.wait(60)
    return command.log.read_bytes()


def test_consumer_and_commands_output_no_order_data(harness: Harness) -> None:
    output = Output()
    harness.query(REJECT_MARKED)
    harness.configure(harness.dead_letter_topic, max_message_bytes=MAX_MESSAGE_BYTES)
    with collecting() as collector, proxied(harness.database) as (proxy, dsn), listening(harness) as notifications:
        bad = sent([*generated_faults(), *invalid_orders(), *rejected_orders()])
        good = sent(encode(marked()) for _ in range(5))
        harness.produce(*good, *bad, Sent(None, MARK.encode()))
        produce_with_header(harness.bootstrap_servers, harness.topic, encode(marked()), MARK.encode() + b"\xff")
        consumer = harness.consumer(
            ORDERS_POSTGRES__DSN=dsn, ORDERS_KAFKA__PROPERTIES=PASSWORDS, ORDERS_LOG__LEVEL="debug",
            ORDERS_CIRCUIT_BREAKER__ENABLED="false", ORDERS_RETRY__MAX_BACKOFF="200ms",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        )  # fmt: skip
        read = len(good) + len(bad) + 2
        harness.wait_committed({0: read}, 60)
        with proxy.unreachable():
            harness.produce(*sent([encode(marked())]))
            eventually(lambda: "connection to PostgreSQL failed" in consumer.log.read_text(), what="the outage")
        harness.wait_committed({0: read + 1})
        output.add("metrics", httpx2.get(f"http://127.0.0.1:{consumer.admin_port}/metrics").content)
        with proxy.unreachable():
            harness.produce(*sent([encode(marked())]))
            eventually(
                lambda: consumer.log.read_text().count("connection to PostgreSQL failed") > 3, what="another outage"
            )
            assert consumer.stop() == 0
        output.add("notifications", eventually(notifications))
    output.add("consumer's log", consumer.log.read_bytes())
    output.add("traces", collector.received)
    output.add("dead letters", added_to_dead_letters(harness))
    for name, arguments in COMMANDS.items():
        output.add(name, run(harness, *arguments, ORDERS_LOG__LEVEL="debug", ORDERS_KAFKA__PROPERTIES=PASSWORDS))
    assert {span.name for span in collector.spans} >= {"store orders", "process order", "dead-letter order"}
    output.assert_has_no_marks(
        {"metrics", "notifications", "consumer's log", "traces", "dead letters", *COMMANDS},
        with_ids=frozenset({"notifications", "dlq list"}),
    )


COMMANDS = {
    "dlq list": ("dlq", "list", "--max", "1000"),
    "dlq list --json": ("dlq", "list", "--max", "1000", "--json"),
    "dlq replay": ("dlq", "replay", "--dry-run"),
    "check": ("check", "--count", "20", "--seed", "1", "--wait", "2"),
    "doctor": ("doctor",),
}


@contextmanager
def listening(harness: Harness) -> Iterator[Callable[[], bytes]]:
    """Listen for notifications; the yielded function returns all payloads received so far."""
    received: list[bytes] = []

    def payloads() -> bytes:
        received.extend(each.payload.encode() for each in connection.notifies(timeout=0.1))
        return b"\n".join(received)

    with psycopg.connect(harness.database, autocommit=True) as connection:
        listen(connection)
        yield payloads


# PostgreSQL's log


def test_the_log_of_the_charts_postgresql_contains_no_rejected_row(tmp_path: Path) -> None:
    chart_settings = [line for line in CONFIG_MAP.read_text().splitlines() if "ALTER SYSTEM SET log_" in line]
    assert chart_settings
    with postgres.postgres(tmp_path) as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        migrate(Conninfo(server.dsn), MigrationSettings())
        for statement in [REJECT_MARKED, *chart_settings, "SELECT pg_reload_conf()"]:
            connection.execute(statement.encode())
        order = msgspec.json.decode(next(rejected_orders()), type=Order)
        eventually(lambda: is_terse(server.dsn))
        with pytest.raises(OrderRejected):
            store(server.dsn, VersionedOrder(order, RecordCoordinates(0, 0, 0, "orders")))
    output = Output()
    output.add("log", (tmp_path / "postgresql.log").read_bytes())
    assert b"no_rejected" in output.text("log")
    output.assert_has_no_marks({"log"})


def is_terse(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SHOW log_error_verbosity").fetchone() == ("terse",)


# Settings


INVALID_SETTINGS = [
    {"ORDERS_KAFKA__PROPERTIES": f'{{"sasl.password": "{MARK}"'},
    {"ORDERS_KAFKA__PROPERTIES": f'{{"{MARK.lower()}": "{MARK}", "ssl.key.password": ["{MARK}"]}}'},
    {"ORDERS_KAFKA__PROPERTIES": f'{{"security.protocol": "nonsense", "sasl.password": "{MARK}"}}'},
    {"ORDERS_POSTGRES__CONNECT_TIMEOUT": MARK, "ORDERS_CACHE": MARK, "ORDERS_BATCH__MAX_BYTES": f"{DIGITS}{MARK}"},
]
INVALID_DSNS = [
    {"ORDERS_POSTGRES__DSN": f"postgresql://me:{MARK}@127.0.0.1:1/orders"},
    {"ORDERS_POSTGRES__DSN": f"postgresql://me:{MARK}@[/orders"},
    {"ORDERS_POSTGRES__DSN": f"host=127.0.0.1 port=1 password={MARK} {MARK}"},
]


@pytest.mark.parametrize(
    ("command", "invalid"),
    [("consumer", INVALID_SETTINGS), ("doctor", INVALID_DSNS), ("wait-for-migrations", INVALID_DSNS)],
)
def test_errors_for_invalid_settings_do_not_contain_their_values(
    spawn: Spawn, command: str, invalid: list[dict[str, str]]
) -> None:
    output = Output()
    common = {"ORDERS_MIGRATION__TIMEOUT": "200ms", "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    for process in [spawn(command, settings=common | variables) for variables in invalid]:
        assert process.process.wait(60) > 0
        assert process.log.read_bytes()
        output.add(command, process.log.read_bytes())
    output.assert_has_no_marks({command})
