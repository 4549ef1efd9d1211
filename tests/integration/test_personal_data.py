"""Whatever happens to an order or to a request, nothing that is told of it holds a value of it.

Every text and number of the orders here, keys, headers, whatever clients send and every secret carries a mark, and all
that comes out is searched for it: but for the answers that are orders, and for what lies in the dead-letter topic as it
came. Ids of orders have a mark of their own: they are told to readers, and nowhere else.
"""

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import msgspec
import psycopg
import pytest
from msgspec.json import encode

from generator.faults import FULL_CATALOGUE
from local import postgres
from service.config import Migration
from service.entities.dead_letter import Header
from service.entities.order import Order
from service.entities.version import RecordPosition, VersionedOrder
from service.errors import OrderRejected
from service.repo.migrate import migrate
from service.repo.transactions import Transactions
from service.repo.writes import PostgresOrderStore
from tests.collector import collecting
from tests.factories import SAMPLE, Document, connection_settings, order_document
from tests.harness import TIMEOUT_SECONDS, Harness, Sent, headers
from tests.notifications import listen
from tests.processes import ROOT, Spawn
from tests.proxy import proxied
from tests.raw_producer import produce_with_header
from tests.waiting import eventually

MARK = "Zq7mark"
DIGITS = "7991773551"
UID = "Uq7id"
PERSONAL = re.compile(f"{MARK}|{DIGITS}".encode(), re.IGNORECASE)
IDENTIFYING = re.compile(UID.encode(), re.IGNORECASE)
PLAIN = {"delivery.phone": f"+{DIGITS}", "delivery.email": f"{MARK}@{MARK}.example", "payment.currency": "USD"}
"""What a valid order has where a mark alone would not do."""
KEPT = {"order_uid", "date_created", "items[0].sale", "items[0].status"}
IN_SUMMARIES = ("track_number", "delivery_service", "payment.amount")
"""What a list may tell of an order."""
LARGEST = 100_000
"""Bytes that the dead-letter topic takes here: some dead letters become stubs."""
PREPARED = ROOT / "chart" / "templates" / "postgresql" / "configmap.yaml"
PARENT = f"00-{'a' * 32}-{'d' * 16}-01"
CARRIED = [("traceparent", PARENT.encode()), ("tracestate", f"{MARK.lower()}=1".encode()), (MARK, MARK.encode())]
PASSWORDS = f'{{"sasl.password": "{MARK}", "ssl.key.password": "{MARK}", "debug": "conf,consumer,msg"}}'


# Orders full of marks


def mark_of(path: str) -> Any:
    """Return what stands there in a marked order."""
    if path in PLAIN:
        return PLAIN[path]
    is_text = isinstance(value_at(SAMPLE, path), str)
    return f"{MARK}-{path.replace('[0]', '')}" if is_text else int(DIGITS) * 100 + len(path)


def marked(**overrides: Any) -> Document:
    """Return a valid order under an id of its own."""
    document = order_document(**overrides)
    for path in leaves(SAMPLE):
        if path not in KEPT:
            put(document, path, mark_of(path))
    document["order_uid"] = UID + document["order_uid"]
    return document


def leaves(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(child, f"{path}.{name}".lstrip("."))
    elif isinstance(node, list):
        yield from leaves(node[0], f"{path}[0]")
    else:
        yield path


def steps(path: str) -> list[Any]:
    return [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]


def value_at(document: Any, path: str) -> Any:
    for step in steps(path):
        document = document[step]
    return document


def put(document: Any, path: str, value: Any) -> None:
    *parents, key = steps(path)
    for step in parents:
        document = document[step]
    document[key] = value


WRONG: list[Any] = [
    MARK, MARK * 200, int(DIGITS), -int(DIGITS), float(DIGITS) + 0.5, 10**25 * int(DIGITS), [MARK], {MARK: MARK},
    f"{MARK}\0",
]  # fmt: skip


def spoilt() -> Iterator[bytes]:
    """Yield orders with a wrong value at each place, and with fields that nobody knows."""
    for path in [*leaves(SAMPLE), "delivery", "payment", "items", "items[0]"]:
        for value in WRONG[path == "order_uid" :]:  # the first one is an id like any other
            document = marked()
            put(document, path, value)
            yield encode(document | {MARK: {MARK: MARK}})
        yield encode(marked()).replace(b'"sm_id"', f'"{MARK}"'.encode())


def faulty() -> Iterator[bytes]:
    """Yield one message for every fault of the catalogue."""
    random = Random(1).random  # noqa: S311 - the same each time
    yield from (fault.make(marked(), random) for fault in FULL_CATALOGUE)


REFUSALS = f"""
    ALTER TABLE orders ADD CONSTRAINT no_refused CHECK (entry <> '{MARK}-refused');
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING MESSAGE = NEW.city, DETAIL = NEW.name, HINT = NEW.email; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW
        WHEN (NEW.city = '{MARK}-refused') EXECUTE FUNCTION refuse();
"""


def refused() -> Iterator[bytes]:
    """Yield orders that PostgreSQL refuses, with its own words full of their values."""
    by_constraint, by_trigger = marked(), marked()
    by_constraint["entry"] = by_trigger["delivery"]["city"] = f"{MARK}-refused"
    yield from map(encode, (by_constraint, by_trigger))


def sent(values: Iterable[bytes]) -> list[Sent]:
    return [Sent(value, f"{MARK}-key".encode(), headers=[*CARRIED]) for value in values]


# What is told


class Told:
    """All that came out, by where it came from."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}

    def add(self, where: str, text: bytes) -> None:
        self._texts[where] = self._texts.get(where, b"") + text + b"\n"

    def text(self, where: str) -> bytes:
        return self._texts[where]

    def assert_silent(self, expected: set[str], *, but_for_ids: frozenset[str] = frozenset()) -> None:
        """Hold that something came from everywhere that is expected, and that none of it has a mark."""
        assert expected == {where for where, text in self._texts.items() if text.strip()}
        found = {where: surroundings(PERSONAL, text) for where, text in self._texts.items()}
        named = {w: surroundings(IDENTIFYING, text) for w, text in self._texts.items() if w not in but_for_ids}
        assert {where: places for where, places in found.items() if places} == {}
        assert {where: places for where, places in named.items() if places} == {}


def surroundings(pattern: re.Pattern[bytes], text: bytes) -> list[bytes]:
    return [text[max(0, match.start() - 80) : match.end() + 40] for match in pattern.finditer(text)][:3]


def of_dead_letters(harness: Harness) -> bytes:
    """Return what we wrote into the dead-letter topic: our headers and the stubs."""
    written = [
        b"%s: %s" % (name.encode(), value or b"")
        for dead_letter in harness.dead_letters()
        for name, value in headers(dead_letter)
        if name.startswith(Header.PREFIX)
    ]
    stubs = [
        dead_letter.value() or b""
        for dead_letter in harness.dead_letters()
        if dict(headers(dead_letter)).get(Header.STUB)
    ]
    assert stubs
    return b"\n".join([*written, *stubs])


def run(harness: Harness, *arguments: str, **variables: str) -> bytes:
    """Run a command to its end, and return all that it printed."""
    command = harness.spawn(*arguments, settings={**harness.settings, **variables})
    command.process.wait(60)
    return command.log.read_bytes()


def test_the_consumer_and_the_commands_tell_nothing_of_what_they_read(harness: Harness) -> None:
    told = Told()
    harness.query(REFUSALS)
    harness.set_max_message_bytes(harness.dead_letter_topic, LARGEST)
    with collecting() as collector, proxied(harness.database) as (proxy, dsn), listening(harness) as notified:
        bad = sent([*faulty(), *spoilt(), *refused()])
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
        told.add("metrics", httpx2.get(f"http://127.0.0.1:{consumer.admin_port}/metrics").content)
        with proxy.unreachable():
            harness.produce(*sent([encode(marked())]))
            eventually(lambda: consumer.log.read_text().count("connection to PostgreSQL failed") > 3, what="another")
            assert consumer.stop() == 0
        told.add("notifications", eventually(notified))
    told.add("consumer's log", consumer.log.read_bytes())
    told.add("traces", collector.received)
    told.add("dead letters", of_dead_letters(harness))
    for name, arguments in COMMANDS.items():
        told.add(name, run(harness, *arguments, ORDERS_LOG__LEVEL="debug", ORDERS_KAFKA__PROPERTIES=PASSWORDS))
    assert {span.name for span in collector.spans} >= {"store orders", "process order", "dead-letter order"}
    told.assert_silent(
        {"metrics", "notifications", "consumer's log", "traces", "dead letters", *COMMANDS},
        but_for_ids=frozenset({"notifications"}),
    )


COMMANDS = {
    "dlq list": ("dlq", "list", "--max", "1000"),
    "dlq replay": ("dlq", "replay", "--dry-run"),
    "check": ("check", "--count", "20", "--seed", "1", "--wait", "2"),
    "doctor": ("doctor",),
}


@contextmanager
def listening(harness: Harness) -> Iterator[Callable[[], bytes]]:
    """Hear what the writer notifies of: what is yielded returns all that came so far."""
    heard: list[bytes] = []

    def payloads() -> bytes:
        heard.extend(each.payload.encode() for each in connection.notifies(timeout=0.1))
        return b"\n".join(heard)

    with psycopg.connect(harness.database, autocommit=True) as connection:
        listen(connection)
        yield payloads


# The API

KEY = f"{MARK}-a-key-that-reads"
KEY_OF_LETTERS = f"{MARK}-a-key-of-dead-letters"
HAS_KEY = f"authorization: Bearer {KEY}"
MAY_SEE_LETTERS = f"x-api-key: {KEY_OF_LETTERS}"


def asked(target: str, *lines: str, method: str = "GET") -> bytes:
    """Return a request whose headers are full of marks; `lines` come first."""
    names = ("user-agent", "referer", "cookie", "x-request-id", "x-forwarded-for", "accept-language", MARK)
    everywhere = [f"{name}: {MARK} {DIGITS}" for name in names]
    head = [f"{method} {target} HTTP/1.1", "host: x", *lines, *everywhere, "connection: close"]
    return "\r\n".join([*head, "", ""]).encode()


REFUSED = [
    (404, asked(f"/orders/{UID}-unknown", HAS_KEY)),
    (422, asked(f"/orders/{MARK}%20{UID}", HAS_KEY)),
    (422, asked(f"/orders/{MARK * 20}", HAS_KEY)),
    (401, asked(f"/orders/{MARK}", f"authorization: Bearer {MARK}-no-key")),
    (401, asked(f"/orders/{MARK}", f"authorization: {MARK} {MARK}")),
    (403, asked(f"/orders/{MARK}", MAY_SEE_LETTERS)),
    (401, asked(f"/orders/{MARK}?key={KEY}")),
    (422, asked(f"/orders?cursor={MARK}&{MARK}={MARK}", HAS_KEY)),
    (422, asked(f"/orders?cursor=1.{MARK}%20", HAS_KEY)),
    (422, asked(f"/orders?limit={MARK}", HAS_KEY)),
    (422, asked(f"/orders?limit={DIGITS}", HAS_KEY)),
    (422, asked(f"/orders?customer_id={MARK}%00", HAS_KEY)),
    (422, asked(f"/orders?track_number={MARK * 50}", HAS_KEY)),
    (422, asked(f"/dead-letters?cursor={MARK}", MAY_SEE_LETTERS)),
    (422, asked(f"/dead-letters?reason={MARK}&limit={DIGITS}", MAY_SEE_LETTERS)),
    (403, asked("/dead-letters", HAS_KEY)),
    (404, asked(f"/{MARK}/{UID}", HAS_KEY)),
    (404, asked(f"//{MARK}//{UID}/", HAS_KEY)),
    (405, asked(f"/orders/{MARK}", HAS_KEY, method="POST")),
    (413, asked(f"/orders/{MARK}", "content-length: 7", HAS_KEY) + MARK.encode()),
    (431, asked(f"/orders/{MARK}", f"x: {MARK * 5_000}")),
    (400, f"{MARK} /{MARK} {MARK}\r\n\r\n".encode()),
    (400, f"GET /{MARK} HTTP/1.1\r\n{MARK}\r\n\r\n".encode()),
]
"""What gets a problem for an answer, and with what status."""


class Visitor:
    """Asks an API, and notes what may not hold a mark."""

    def __init__(self, port: int, told: Told) -> None:
        self._port = port
        self._told = told

    def get(self, where: str, status: int, request: bytes, *, allowed: Iterable[object] = ()) -> None:
        """Note head and body, but for what is `allowed`."""
        head, body = self._exchange(request)
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        for each in allowed:
            body = body.replace(str(each).encode(), b"")
        self._told.add(where, head + b"\n" + body)

    def get_content(self, where: str, request: bytes) -> None:
        """Note the head alone, for the body is what was asked for: personal."""
        head, body = self._exchange(request)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert len(body) > 500
        self._told.add(where, head)

    def leave(self, request: bytes) -> None:
        """Ask, and go before the answer has come."""
        with self._connected() as client:
            client.sendall(request)

    def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        with self._connected() as client:
            client.sendall(request)
            head, _, body = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
        return head, body

    def _connected(self) -> closing[socket.socket]:
        return closing(socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECONDS))


def visit(visitor: Visitor, document: Document) -> None:
    """Ask for everything that there is, rightly and wrongly."""
    uid, allowed = document["order_uid"], [*map(mark_of, IN_SUMMARIES), document["order_uid"]]
    for _ in range(2):  # from PostgreSQL and from memory
        visitor.get_content("orders", asked(f"/orders/{uid}", HAS_KEY))
    visitor.get_content("orders", f"GET /orders/{uid} HTTP/1.1\r\n{HAS_KEY}\r\n\r\n".encode() + LAST)
    visitor.get_content("dead letters", asked("/dead-letters", MAY_SEE_LETTERS, f"origin: https://{MARK}.example"))
    for query in ("", f"?customer_id={mark_of('customer_id')}", f"?track_number={mark_of('track_number')}"):
        visitor.get("lists", 200, asked(f"/orders{query}", HAS_KEY), allowed=allowed)
    visitor.get("figures", 200, asked("/stats", HAS_KEY))
    for status, request in REFUSED:
        visitor.get("refusals", status, request)


LAST = b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n"


def visit_without_database(visitor: Visitor) -> None:
    for target in (f"/orders/{UID}-missed", f"/orders?customer_id={MARK}"):
        visitor.get("outage", 503, asked(target, HAS_KEY))


def test_the_api_tells_nothing_but_the_orders_that_it_is_asked_for(harness: Harness, tmp_path: Path) -> None:
    told = Told()
    document = marked()
    keys = tmp_path / "keys"
    keys.write_text(f"read {KEY}\ndead-letters {KEY_OF_LETTERS}\n")
    harness.produce(*sent([encode(document), *faulty()]))
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_stored({document["order_uid"]})
    eventually(harness.dead_letters)
    with proxied(harness.database) as (proxy, dsn):
        api = harness.spawn("api", settings={
            **harness.settings, "ORDERS_POSTGRES__DSN": dsn, "ORDERS_KAFKA__PROPERTIES": PASSWORDS,
            "ORDERS_AUTH__KEYS_FILE": str(keys), "ORDERS_LOG__LEVEL": "debug", "ORDERS_CACHE__WARM_UP_SIZE": "0",
            "ORDERS_HTTP__CORS_ORIGINS": '["https://shop.example"]', "ORDERS_POSTGRES__STATEMENT_TIMEOUT": "1s",
        }).ready()  # fmt: skip
        visitor, probes = Visitor(api.http_port, told), Visitor(api.admin_port, told)
        with httpx2.stream("GET", f"{api.url}/events", headers={"X-API-Key": KEY, "Last-Event-ID": MARK}) as events:
            visit(visitor, document)
            harness.produce(*sent([encode(document | {"sm_id": 1}), encode(marked())]))
            told.add("events", "\n".join(lines_until(events, "event: replaced")).encode())
        with proxy.delayed(0.5):
            visitor.leave(asked(f"/orders/{UID}-left", HAS_KEY))
            visitor.leave(asked(f"/orders?customer_id={MARK}", HAS_KEY))
        with proxy.unreachable():
            visit_without_database(visitor)
        keys.write_text(f"read {KEY} {MARK}\n")
        eventually(lambda: "the API key file has errors" in api.log.read_text(), what="the keys are looked at")
        accepted = f"accept: application/openmetrics-text; version=1.0.0; escaping={MARK}"
        probes.get("metrics", 200, asked(f"/metrics?name[]={MARK}", accepted))
        probes.get("probes", 200, asked(f"/readyz?verbose={MARK}"))
        assert api.stop() == 0
    told.add("log", api.log.read_bytes())
    told.assert_silent(
        {"orders", "dead letters", "lists", "figures", "refusals", "events", "outage", "metrics", "probes", "log"},
        but_for_ids=frozenset({"events"}),
    )


def lines_until(events: httpx2.Response, last: str) -> Iterator[str]:
    """Yield the lines of a stream until there was one like `last`, and the one after it."""
    lines = events.iter_lines()
    for line in lines:
        yield line
        if line == last:
            yield next(lines)
            return


# PostgreSQL itself


def test_the_log_of_the_charts_postgresql_holds_no_row_that_it_refused(tmp_path: Path) -> None:
    of_the_chart = [line for line in PREPARED.read_text().splitlines() if "ALTER SYSTEM" in line]
    with postgres.postgres(tmp_path) as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        migrate(server.dsn, Migration())
        for statement in [REFUSALS, *of_the_chart, "SELECT pg_reload_conf()"]:
            connection.execute(statement.encode())
        writer = PostgresOrderStore(Transactions(connection_settings(server.dsn, "tests")))
        order = msgspec.json.decode(next(refused()), type=Order)
        eventually(lambda: terse(server.dsn))
        with pytest.raises(OrderRejected):
            writer.store([VersionedOrder(order, RecordPosition(0, 0, 0, "orders"))])
        writer.close()
    told = Told()
    told.add("log", (tmp_path / "postgresql.log").read_bytes())
    assert b"no_refused" in told.text("log")
    told.assert_silent({"log"})


def terse(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SHOW log_error_verbosity").fetchone() == ("terse",)


# Settings

UNUSABLE = [
    {"ORDERS_KAFKA__PROPERTIES": f'{{"sasl.password": "{MARK}"'},
    {"ORDERS_KAFKA__PROPERTIES": f'{{"{MARK.lower()}": "{MARK}", "ssl.key.password": ["{MARK}"]}}'},
    {"ORDERS_KAFKA__PROPERTIES": f'{{"security.protocol": "nonsense", "sasl.password": "{MARK}"}}'},
    {"ORDERS_POSTGRES__CONNECT_TIMEOUT": MARK, "ORDERS_CACHE": MARK, "ORDERS_BATCH__MAX_BYTES": f"{DIGITS}{MARK}"},
]
UNREACHABLE = [
    {"ORDERS_POSTGRES__DSN": f"postgresql://me:{MARK}@127.0.0.1:1/orders"},
    {"ORDERS_POSTGRES__DSN": f"postgresql://me:{MARK}@[/orders"},
    {"ORDERS_POSTGRES__DSN": f"host=127.0.0.1 port=1 password={MARK} {MARK}"},
]


@pytest.mark.parametrize(
    ("command", "wrong"), [("consumer", UNUSABLE), ("doctor", UNREACHABLE), ("wait-for-migrations", UNREACHABLE)]
)
def test_a_setting_that_cannot_be_used_is_told_without_its_value(
    spawn: Spawn, command: str, wrong: list[dict[str, str]]
) -> None:
    told = Told()
    common = {"ORDERS_MIGRATION__TIMEOUT": "200ms", "ORDERS_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    for process in [spawn(command, settings=common | variables) for variables in wrong]:
        assert process.process.wait(60) > 0
        assert process.log.read_bytes()
        told.add(command, process.log.read_bytes())
    told.assert_silent({command})
