"""Order data never appears in logs, metrics, traces, headers or errors.

All texts and numbers of orders, keys, headers, requests and secrets contain a mark. All output is searched for marks,
except responses with orders and the original parts of dead letters. Ids of orders have another mark, which may appear
in notifications and events only.
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

from generator.faults import FULL_CATALOG
from local import postgres
from service.config import MigrationSettings
from service.entities.dead_letter_headers import Header
from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.errors import OrderRejected
from service.repo.schema.migrate import migrate
from tests.kit.collector import collecting
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.harness import TIMEOUT_SECONDS, Harness, Sent, headers
from tests.kit.notifications import listen
from tests.kit.processes import ROOT, Spawn
from tests.kit.proxy import proxied
from tests.kit.raw_producer import produce_with_header
from tests.kit.stores import store
from tests.kit.waiting import eventually

MARK = "Zq7mark"
DIGITS = "7991773551"
UID = "Uq7id"
PERSONAL = re.compile(f"{MARK}|{DIGITS}".encode(), re.IGNORECASE)
IDENTIFYING = re.compile(UID.encode(), re.IGNORECASE)
PLAIN = {"delivery.phone": f"+{DIGITS}", "delivery.email": f"{MARK}@{MARK}.example", "payment.currency": "USD"}
"""Values of a valid order where the mark alone would be invalid."""
UNMARKED = {"order_uid", "date_created", "items[0].sale", "items[0].status"}
IN_SUMMARIES = ("track_number", "delivery_service", "payment.amount")
"""Fields that a list contains."""
MAX_MESSAGE_BYTES = 100_000
"""Limit of the dead-letter topic, so that some dead letters become stubs."""
CONFIG_MAP = ROOT / "chart" / "templates" / "postgresql" / "configmap.yaml"
PARENT = f"00-{'a' * 32}-{'d' * 16}-01"
HEADERS = [("traceparent", PARENT.encode()), ("tracestate", f"{MARK.lower()}=1".encode()), (MARK, MARK.encode())]
PASSWORDS = f'{{"sasl.password": "{MARK}", "ssl.key.password": "{MARK}", "debug": "conf,consumer,msg"}}'


# Orders full of marks


def mark_of(path: str) -> Any:
    """Return the value at the path in a marked order."""
    if path in PLAIN:
        return PLAIN[path]
    is_text = isinstance(value_at(SAMPLE, path), str)
    return f"{MARK}-{path.replace('[0]', '')}" if is_text else int(DIGITS) * 100 + len(path)


def marked(**overrides: Any) -> Document:
    """Return a valid order with a unique id and marks in all other fields."""
    document = order_document(**overrides)
    for path in leaves(SAMPLE):
        if path not in UNMARKED:
            set_value(document, path, mark_of(path))
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


def set_value(document: Any, path: str, value: Any) -> None:
    *parents, key = steps(path)
    for step in parents:
        document = document[step]
    document[key] = value


INVALID_VALUES: list[Any] = [
    MARK, MARK * 200, int(DIGITS), -int(DIGITS), float(DIGITS) + 0.5, 10**25 * int(DIGITS), [MARK], {MARK: MARK},
    f"{MARK}\0",
]  # fmt: skip


def invalid_orders() -> Iterator[bytes]:
    """Yield orders with an invalid value at each path, and with unknown fields."""
    for path in [*leaves(SAMPLE), "delivery", "payment", "items", "items[0]"]:
        for value in INVALID_VALUES[path == "order_uid" :]:  # the first value is a valid id
            document = marked()
            set_value(document, path, value)
            yield encode(document | {MARK: {MARK: MARK}})
        yield encode(marked()).replace(b'"sm_id"', f'"{MARK}"'.encode())


def generated_faults() -> Iterator[bytes]:
    """Yield a message for each of the generator's faults."""
    random = Random(1).random  # noqa: S311 - the same each time
    yield from (fault.make(marked(), random) for fault in FULL_CATALOG)


REJECT_MARKED = f"""
    ALTER TABLE orders ADD CONSTRAINT no_rejected CHECK (entry <> '{MARK}-rejected');
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING MESSAGE = NEW.city, DETAIL = NEW.name, HINT = NEW.email; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW
        WHEN (NEW.city = '{MARK}-rejected') EXECUTE FUNCTION reject();
"""


def rejected_orders() -> Iterator[bytes]:
    """Yield orders that PostgreSQL rejects with messages that quote their values."""
    by_constraint, by_trigger = marked(), marked()
    by_constraint["entry"] = by_trigger["delivery"]["city"] = f"{MARK}-rejected"
    yield from map(encode, (by_constraint, by_trigger))


def sent(values: Iterable[bytes]) -> list[Sent]:
    return [Sent(value, f"{MARK}-key".encode(), headers=[*HEADERS]) for value in values]


# Output


class Output:
    """All output, by its source."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}

    def add(self, source: str, text: bytes) -> None:
        self._texts[source] = self._texts.get(source, b"") + text + b"\n"

    def text(self, source: str) -> bytes:
        return self._texts[source]

    def assert_has_no_marks(self, expected: set[str], *, with_ids: frozenset[str] = frozenset()) -> None:
        """Assert that there is output of exactly these sources, and no mark in it, except for ids in `with_ids`."""
        assert expected == {source for source, text in self._texts.items() if text.strip()}
        found = {source: matches(PERSONAL, text) for source, text in self._texts.items()}
        ids = {name: matches(IDENTIFYING, text) for name, text in self._texts.items() if name not in with_ids}
        assert {source: each for source, each in found.items() if each} == {}
        assert {source: each for source, each in ids.items() if each} == {}


def matches(pattern: re.Pattern[bytes], text: bytes) -> list[bytes]:
    """Return the first three matches with their context."""
    return [text[max(0, match.start() - 80) : match.end() + 40] for match in pattern.finditer(text)][:3]


def added_to_dead_letters(harness: Harness) -> bytes:
    """Return what the consumer added to the dead-letter topic: headers and stubs."""
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
        with_ids=frozenset({"notifications"}),
    )


COMMANDS = {
    "dlq list": ("dlq", "list", "--max", "1000"),
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


# The API

KEY = f"{MARK}-a-key-that-reads"
DEAD_LETTER_KEY = f"{MARK}-a-key-of-dead-letters"
HAS_KEY = f"authorization: Bearer {KEY}"
HAS_DEAD_LETTER_KEY = f"x-api-key: {DEAD_LETTER_KEY}"


def request_with_marks(target: str, *lines: str, method: str = "GET") -> bytes:
    """Return a request with the header lines `lines`, followed by headers full of marks."""
    names = ("user-agent", "referer", "cookie", "x-request-id", "x-forwarded-for", "accept-language", MARK)
    everywhere = [f"{name}: {MARK} {DIGITS}" for name in names]
    head = [f"{method} {target} HTTP/1.1", "host: x", *lines, *everywhere, "connection: close"]
    return "\r\n".join([*head, "", ""]).encode()


REJECTED_REQUESTS = [
    (404, request_with_marks(f"/orders/{UID}-unknown", HAS_KEY)),
    (422, request_with_marks(f"/orders/{MARK}%20{UID}", HAS_KEY)),
    (422, request_with_marks(f"/orders/{MARK * 20}", HAS_KEY)),
    (401, request_with_marks(f"/orders/{MARK}", f"authorization: Bearer {MARK}-no-key")),
    (401, request_with_marks(f"/orders/{MARK}", f"authorization: {MARK} {MARK}")),
    (403, request_with_marks(f"/orders/{MARK}", HAS_DEAD_LETTER_KEY)),
    (401, request_with_marks(f"/orders/{MARK}?key={KEY}")),
    (422, request_with_marks(f"/orders?cursor={MARK}&{MARK}={MARK}", HAS_KEY)),
    (422, request_with_marks(f"/orders?cursor=1.{MARK}%20", HAS_KEY)),
    (422, request_with_marks(f"/orders?limit={MARK}", HAS_KEY)),
    (422, request_with_marks(f"/orders?limit={DIGITS}", HAS_KEY)),
    (422, request_with_marks(f"/orders?customer_id={MARK}%00", HAS_KEY)),
    (422, request_with_marks(f"/orders?track_number={MARK * 50}", HAS_KEY)),
    (422, request_with_marks(f"/dead-letters?cursor={MARK}", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters?reason={MARK}&limit={DIGITS}", HAS_DEAD_LETTER_KEY)),
    (403, request_with_marks("/dead-letters", HAS_KEY)),
    (404, request_with_marks(f"/{MARK}/{UID}", HAS_KEY)),
    (404, request_with_marks(f"//{MARK}//{UID}/", HAS_KEY)),
    (405, request_with_marks(f"/orders/{MARK}", HAS_KEY, method="POST")),
    (413, request_with_marks(f"/orders/{MARK}", "content-length: 7", HAS_KEY) + MARK.encode()),
    (431, request_with_marks(f"/orders/{MARK}", f"x: {MARK * 5_000}")),
    (400, f"{MARK} /{MARK} {MARK}\r\n\r\n".encode()),
    (400, f"GET /{MARK} HTTP/1.1\r\n{MARK}\r\n\r\n".encode()),
]
"""Requests that are rejected, with the status of the response."""


class Client:
    """Sends requests to an API, and records output that may not contain a mark."""

    def __init__(self, port: int, output: Output) -> None:
        self._port = port
        self._output = output

    def get(self, source: str, status: int, request: bytes, *, allowed: Iterable[object] = ()) -> None:
        """Record head and body, without the `allowed` values."""
        head, body = self._exchange(request)
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        for each in allowed:
            body = body.replace(str(each).encode(), b"")
        self._output.add(source, head + b"\n" + body)

    def get_content(self, source: str, request: bytes) -> None:
        """Record the head only, because the body is the requested order data."""
        head, body = self._exchange(request)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert len(body) > 500
        self._output.add(source, head)

    def send_and_close(self, request: bytes) -> None:
        """Send a request and close the connection without waiting for the response."""
        with self._connected() as client:
            client.sendall(request)

    def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        with self._connected() as client:
            client.sendall(request)
            head, _, body = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
        return head, body

    def _connected(self) -> closing[socket.socket]:
        return closing(socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECONDS))


def request_everything(client: Client, document: Document) -> None:
    """Send valid and invalid requests to every endpoint."""
    uid, allowed = document["order_uid"], [*map(mark_of, IN_SUMMARIES), document["order_uid"]]
    for _ in range(2):  # from PostgreSQL and from the cache
        client.get_content("orders", request_with_marks(f"/orders/{uid}", HAS_KEY))
    client.get_content("orders", f"GET /orders/{uid} HTTP/1.1\r\n{HAS_KEY}\r\n\r\n".encode() + LAST)
    client.get_content(
        "dead letters", request_with_marks("/dead-letters", HAS_DEAD_LETTER_KEY, f"origin: https://{MARK}.example")
    )
    for query in ("", f"?customer_id={mark_of('customer_id')}", f"?track_number={mark_of('track_number')}"):
        client.get("lists", 200, request_with_marks(f"/orders{query}", HAS_KEY), allowed=allowed)
    client.get("figures", 200, request_with_marks("/stats", HAS_KEY))
    for status, request in REJECTED_REQUESTS:
        client.get("rejected", status, request)


LAST = b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n"


def request_during_outage(client: Client) -> None:
    for target in (f"/orders/{UID}-missed", f"/orders?customer_id={MARK}"):
        client.get("outage", 503, request_with_marks(target, HAS_KEY))


def test_the_api_outputs_order_data_only_in_responses_with_orders(harness: Harness, tmp_path: Path) -> None:
    output = Output()
    document = marked()
    keys = tmp_path / "keys"
    keys.write_text(f"read {KEY}\ndead-letters {DEAD_LETTER_KEY}\n")
    harness.produce(*sent([encode(document), *generated_faults()]))
    harness.consumer(ORDERS_CIRCUIT_BREAKER__ENABLED="false")
    harness.wait_stored({document["order_uid"]})
    eventually(harness.dead_letters)
    with proxied(harness.database) as (proxy, dsn):
        api = harness.spawn("api", settings={
            **harness.settings, "ORDERS_POSTGRES__DSN": dsn, "ORDERS_KAFKA__PROPERTIES": PASSWORDS,
            "ORDERS_AUTH__KEYS_FILE": str(keys), "ORDERS_LOG__LEVEL": "debug", "ORDERS_CACHE__WARM_UP_SIZE": "0",
            "ORDERS_HTTP__CORS_ORIGINS": '["https://shop.example"]', "ORDERS_POSTGRES__STATEMENT_TIMEOUT": "1s",
        }).ready()  # fmt: skip
        client, probes = Client(api.http_port, output), Client(api.admin_port, output)
        with httpx2.stream("GET", f"{api.url}/events", headers={"X-API-Key": KEY, "Last-Event-ID": MARK}) as events:
            request_everything(client, document)
            harness.produce(*sent([encode(document | {"sm_id": 1}), encode(marked())]))
            output.add("events", "\n".join(lines_until(events, "event: replaced")).encode())
        with proxy.delayed(0.5):
            client.send_and_close(request_with_marks(f"/orders/{UID}-left", HAS_KEY))
            client.send_and_close(request_with_marks(f"/orders?customer_id={MARK}", HAS_KEY))
        with proxy.unreachable():
            request_during_outage(client)
        keys.write_text(f"read {KEY} {MARK}\n")
        eventually(lambda: "the API key file has errors" in api.log.read_text(), what="the key file is reloaded")
        accepted = f"accept: application/openmetrics-text; version=1.0.0; escaping={MARK}"
        probes.get("metrics", 200, request_with_marks(f"/metrics?name[]={MARK}", accepted))
        probes.get("probes", 200, request_with_marks(f"/readyz?verbose={MARK}"))
        assert api.stop() == 0
    output.add("log", api.log.read_bytes())
    output.assert_has_no_marks(
        {"orders", "dead letters", "lists", "figures", "rejected", "events", "outage", "metrics", "probes", "log"},
        with_ids=frozenset({"events"}),
    )


def lines_until(events: httpx2.Response, last: str) -> Iterator[str]:
    """Yield the lines of a stream up to the line after the first that equals `last`."""
    lines = events.iter_lines()
    for line in lines:
        yield line
        if line == last:
            yield next(lines)
            return


# PostgreSQL's log


def test_the_log_of_the_charts_postgresql_contains_no_rejected_row(tmp_path: Path) -> None:
    chart_settings = [line for line in CONFIG_MAP.read_text().splitlines() if "ALTER SYSTEM SET log_" in line]
    assert chart_settings
    with postgres.postgres(tmp_path) as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        migrate(server.dsn, MigrationSettings())
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
