"""Requests that the fast path answers, and others."""

from hypothesis import strategies as st

from service.handler.http.fastpath.responder import MAX_HEADER_BLOCK_BYTES
from service.pkg.etag import split_etag, with_etag

LONGEST = "-_" * 32
CACHED = {"cached": with_etag(b'{"order_uid":"cached"}'), LONGEST: with_etag(b"%d %s \r\n\r\n HTTP/1.1 200 OK" * 10)}
TAG = split_etag(CACHED["cached"])[0].decode()
PLAIN = b"GET /orders/cached HTTP/1.1\r\nhost: x\r\n\r\n"
MISS = b"GET /orders/missed HTTP/1.1\r\nhost: x\r\n\r\n"
READ_KEY, DEAD_LETTERS_KEY = "r" * 20, "d" * 20


def make_request(*headers: str, line: str = "GET /orders/cached HTTP/1.1", body: str = "") -> bytes:
    """Return a request of HTTP/1.1 with a Host header, unless `headers` has one, or the line another version."""
    needs_host = line.endswith("HTTP/1.1") and not any(header.lower().startswith("host:") for header in headers)
    return "\r\n".join([line, *["host: x"] * needs_host, *headers, "", body]).encode("latin-1")


PLAIN_REQUESTS = [
    PLAIN,
    PLAIN * 5,
    make_request(),
    make_request(line=f"GET /orders/{LONGEST} HTTP/1.1"),
    make_request("Host: x", "User-Agent: curl/8", "ACCEPT: */*", "Connection: keep-alive"),
    make_request("accept-encoding: gzip", "accept-language: ", 'sec-ch-ua: "A";v="1"', "x-forwarded-for: 1.2.3.4, ::1"),
    make_request("x-request-id: abc"),
    make_request("X-Request-ID: not plain"),
    make_request("x-request-id: "),
    make_request(f'if-none-match: "{TAG}"'),
    make_request(f'if-none-match: W/"{TAG}"'),
    make_request(f'If-None-Match: "other", "{TAG}"', "x-request-id: abc"),
    make_request("if-none-match: *"),
    make_request('if-none-match: "other"'),
    make_request(f"if-none-match: {TAG}"),
    make_request("if-none-match: "),
    make_request("authorization: Bearer a"),
    make_request("x-api-key: a b"),
    make_request(f"user-agent: {'a' * (MAX_HEADER_BLOCK_BYTES - len('host: x') - len('user-agent: ') - 4)}"),
]  # fmt: skip
"""Answered by the fast path."""
OTHER_REQUESTS = [
    MISS,
    make_request(line="GET /orders/unknown HTTP/1.1"),
    make_request(line="GET /orders/ HTTP/1.1"),
    make_request(line="GET /orders HTTP/1.1"),
    make_request(line="GET /livez HTTP/1.1"),
    make_request(line=f"GET /orders/{'x' * 65} HTTP/1.1"),
    make_request(line="GET /orders/%63ached HTTP/1.1"),
    make_request(line="GET /orders/cached%20 HTTP/1.1"),
    make_request(line="GET /orders/cached? HTTP/1.1"),
    make_request(line="GET /orders/cached?a=b HTTP/1.1"),
    make_request(line="GET /orders/cached#a HTTP/1.1"),
    make_request(line="GET //orders/cached HTTP/1.1"),
    make_request(line="GET /orders//cached HTTP/1.1"),
    make_request(line="GET /orders/cached/ HTTP/1.1"),
    make_request(line="GET /orders/../orders/cached HTTP/1.1"),
    make_request(line="GET http://x/orders/cached HTTP/1.1"),
    make_request(line="GET /ORDERS/cached HTTP/1.1"),
    make_request(line="GET /orders/cached HTTP/1.0"),
    make_request("connection: keep-alive", line="GET /orders/cached HTTP/1.0"),
    make_request(line="HEAD /orders/cached HTTP/1.1"),
    make_request(line="POST /orders/cached HTTP/1.1"),
    make_request(line="DELETE /orders/cached HTTP/1.1"),
    make_request(line="OPTIONS /orders/cached HTTP/1.1"),
    make_request("connection: close"),
    make_request("connection: Keep-Alive"),
    make_request("connection: keep-alive, close"),
    make_request("connection: keep-alive, upgrade", "upgrade: h2c"),
    make_request("content-length: 0"),
    make_request("content-length: 5", body="12345"),
    make_request(f"content-length: {len(PLAIN)}", body=PLAIN.decode()),
    make_request("transfer-encoding: chunked", body="5\r\n12345\r\n0\r\n\r\n"),
    make_request("expect: 100-continue"),
    make_request("expect: 100-continue", "content-length: 5", body="12345"),
    make_request("upgrade: websocket"),
    make_request("upgrade: websocket", "connection: upgrade"),
    make_request("origin: https://shop.example"),
    make_request("cookie: a=b"),
    make_request("range: bytes=0-1"),
    make_request("authorization: Basic a"),
    make_request("authorization: Bearer a b"),
    make_request("if-match: *"),
    make_request("x-anything: a"),
    make_request('if-none-match: "a"', f'if-none-match: "{TAG}"'),
    make_request("x-request-id: not plain", "x-request-id: abc"),
    make_request("accept:*/*"),
    make_request("accept:  */*"),
    make_request("accept: */* "),
    make_request("accept: \xe9"),
    make_request("accept: a\xe9b"),
    make_request("accept: a\tb"),
    make_request(f"user-agent: {'a' * MAX_HEADER_BLOCK_BYTES}"),
]
"""Answered by the application, whose response may differ."""
MALFORMED = [
    make_request("host: x", "host: y"),
    make_request(line="get /orders/cached HTTP/1.1"),
    make_request(line="GET  /orders/cached HTTP/1.1"),
    make_request(line="GET /orders/cached  HTTP/1.1"),
    make_request(line="GET /orders/cached HTTP/1.1 "),
    make_request(line="GET /orders/cached HTTP/1.2"),
    make_request(line="GET /orders/cached HTTP/2.0"),
    make_request(line="GET /orders/cached"),
    make_request(line="GET /orders/c\xe9ched HTTP/1.1"),
    make_request(line="CONNECT /orders/cached HTTP/1.1"),
    make_request("host : x"),
    make_request(" host: x"),
    make_request("host: x", " folded"),
    make_request("host"),
    make_request(": x"),
    make_request("host: a\x00b"),
    make_request("host: a\rb"),
    make_request("host: a\nb: c"),
    make_request("content-length: x"),
    make_request("content-length: 5", "transfer-encoding: chunked", body="0\r\n\r\n"),
    make_request("transfer-encoding: chunked", body="x\r\n\r\n"),
    make_request("content-length: 5", "content-length: 6", body="12345"),
    PLAIN.replace(b"\r\n", b"\n"),
    b"\r\n" + PLAIN,
    b"\n" + PLAIN,
    PLAIN + b"\r\n",
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01 nonsense\r\n\r\n",
    make_request("content-length: 5", body="12345") + b"nonsense\r\n\r\n",
    PLAIN[:-2],
    PLAIN[:-4],
    PLAIN[:9],
    b"\r\n\r\n",
    b"\r\n" * 10_000,
    make_request(f"x: {'a' * 20_000}"),
    make_request(line=f"GET /orders/{'a' * 20_000} HTTP/1.1"),
]
AUTHORIZED = [
    make_request(f"authorization: Bearer {READ_KEY}"),
    make_request(f"x-api-key: {READ_KEY}"),
    make_request(f"X-API-Key: {READ_KEY}", f'if-none-match: "{TAG}"', "x-request-id: abc"),
]
UNAUTHORIZED = [
    PLAIN,
    make_request("x-api-key: "),
    make_request(f"x-api-key: {READ_KEY}x"),
    make_request(f"x-api-key: {DEAD_LETTERS_KEY}"),
    make_request(f"authorization: Bearer {DEAD_LETTERS_KEY}"),
    make_request(f"authorization: Bearer {READ_KEY[1:]}"),
    make_request(f"authorization: {READ_KEY}"),
    make_request(f"authorization: Bearer {DEAD_LETTERS_KEY}", f"x-api-key: {READ_KEY}"),
    make_request(line=f"GET /orders/cached?key={READ_KEY} HTTP/1.1"),
    make_request(line="GET /orders/not%20an%20id HTTP/1.1"),
]
LINES = st.sampled_from(
    sorted({request_.partition(b"\r\n")[0] for request_ in [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED]} - {b""})
)
HEADERS = st.sampled_from(
    sorted(
        {
            line
            for each in [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED, *AUTHORIZED, *UNAUTHORIZED]
            for line in each.split(b"\r\n")[1:]
            if line
        }
    )
)
BODIES = st.sampled_from([b""] * 5 + [b"12345", b"5\r\n12345\r\n0\r\n\r\n", PLAIN])
