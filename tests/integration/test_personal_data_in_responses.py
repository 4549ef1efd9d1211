"""The API outputs order data only in responses with orders. All other output is searched for marks."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
from msgspec.json import encode

from tests.kit.factories import Document
from tests.kit.harness import TIMEOUT_SECONDS, Harness
from tests.kit.marks import DIGITS, MARK, PASSWORDS, UID, Output, generated_faults, mark_of, marked, sent
from tests.kit.proxy import proxied
from tests.kit.waiting import eventually

IN_SUMMARIES = ("track_number", "delivery_service", "payment.amount")
"""Fields that a list contains."""
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


def lookup_with_marks(*uids: str) -> bytes:
    body = encode({"order_uids": uids})
    lines = (HAS_KEY, "content-type: application/json", f"content-length: {len(body)}")
    return request_with_marks("/orders/lookup", *lines, method="POST") + body


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
    (422, request_with_marks(f"/orders?created_from={MARK}&created_to={DIGITS}", HAS_KEY)),
    (422, request_with_marks(f"/orders?track_number={MARK * 50}", HAS_KEY)),
    (422, request_with_marks(f"/dead-letters?cursor={MARK}", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters?reason={MARK}&limit={DIGITS}", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters?since={MARK}&until={DIGITS}", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters?order={MARK}%00&text={MARK}%00", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters/counts?since={MARK}&bucket={MARK}", HAS_DEAD_LETTER_KEY)),
    (422, request_with_marks(f"/dead-letters/{MARK}/{DIGITS}", HAS_DEAD_LETTER_KEY)),
    (404, request_with_marks(f"/dead-letters/0/{DIGITS}", HAS_DEAD_LETTER_KEY)),
    (403, request_with_marks("/dead-letters", HAS_KEY)),
    (403, request_with_marks("/dead-letters/0/0", HAS_KEY)),
    (403, request_with_marks("/dead-letters/counts", HAS_KEY)),
    (404, request_with_marks(f"/{MARK}/{UID}", HAS_KEY)),
    (404, request_with_marks(f"//{MARK}//{UID}/", HAS_KEY)),
    (405, request_with_marks(f"/orders/{MARK}", HAS_KEY, method="POST")),
    (422, lookup_with_marks(UID, f"{MARK} ")),
    (422, lookup_with_marks(MARK * 20)),
    (413, request_with_marks(f"/orders/{MARK}", "content-length: 7", HAS_KEY) + MARK.encode()),
    (431, request_with_marks(f"/orders/{MARK}", f"x: {MARK * 5_000}")),
    (400, f"{MARK} /{MARK} {MARK}\r\n\r\n".encode()),
    (400, f"GET /{MARK} HTTP/1.1\r\nhost: x\r\n{MARK}\r\n\r\n".encode()),
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
    client.get_content("orders", f"GET /orders/{uid} HTTP/1.1\r\nhost: x\r\n{HAS_KEY}\r\n\r\n".encode() + LAST)
    client.get_content("orders", lookup_with_marks(uid, f"{UID}-unknown"))
    client.get_content(
        "dead letters", request_with_marks("/dead-letters", HAS_DEAD_LETTER_KEY, f"origin: https://{MARK}.example")
    )
    client.get("lists", 200, request_with_marks(f"/dead-letters?order={UID}&text={MARK}", HAS_DEAD_LETTER_KEY))
    client.get("figures", 200, request_with_marks("/dead-letters/counts", HAS_DEAD_LETTER_KEY))
    for query in ("", f"?customer_id={mark_of('customer_id')}", f"?track_number={mark_of('track_number')}"):
        client.get("lists", 200, request_with_marks(f"/orders{query}", HAS_KEY), allowed=allowed)
    client.get("figures", 200, request_with_marks("/stats", HAS_KEY))
    for status, request in REJECTED_REQUESTS:
        client.get("rejected", status, request)


LAST = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


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
    dead_letter = eventually(harness.dead_letters)[0]
    with proxied(harness.database) as (proxy, dsn):
        api = harness.spawn("api", settings={
            **harness.settings, "ORDERS_POSTGRES__DSN": dsn, "ORDERS_KAFKA__PROPERTIES": PASSWORDS,
            "ORDERS_AUTH__KEYS_FILE": str(keys), "ORDERS_LOG__LEVEL": "debug", "ORDERS_CACHE__WARM_UP_SIZE": "0",
            "ORDERS_HTTP__CORS_ORIGINS": '["https://shop.example"]', "ORDERS_POSTGRES__STATEMENT_TIMEOUT": "1s",
        }).ready()  # fmt: skip
        client, probes = Client(api.http_port, output), Client(api.admin_port, output)
        with httpx2.stream("GET", f"{api.url}/events", headers={"X-API-Key": KEY, "Last-Event-ID": MARK}) as events:
            request_everything(client, document)
            path = f"/dead-letters/{dead_letter.partition()}/{dead_letter.offset()}"
            client.get_content("dead letters", request_with_marks(path, HAS_DEAD_LETTER_KEY))
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
