"""For any bytes from a client, the fast path and the application respond alike, without an internal error."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.config.redaction import REDACTED, redacted_dsn
from service.errors import InvalidKeysFile
from service.handler.http.responses.if_none_match import matches
from service.handler.http.responses.problems import Problem
from service.handler.http.routes.dead_letters import _format_cursor as format_dead_letters_cursor
from service.handler.http.routes.dead_letters import _parse_cursor as parse_dead_letters_cursor
from service.handler.http.routes.order_list import _parse_cursor as parse_cursor
from service.handler.http.security.keys import Keys, KeyScope
from service.pkg.units import parse_bytes, parse_seconds
from service.repo.reader.statements import page_values
from service.usecases.ports.reads import Page, PageCursor, PageQuery
from tests.fuzz.mutants import mutated
from tests.fuzz.profile import fuzzed
from tests.kit.event_streams import new_broadcaster, stored
from tests.kit.http_requests import BODIES, HEADERS, LINES, PLAIN, READ_KEY
from tests.kit.in_memory_server import InMemoryServer, ServerPair

T = TypeVar("T")

TOKENS = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b": ",
        b",",
        b"\0",
        b"\xff",
        b"\xe9",
        b"%",
        b"%00",
        b"?",
        b"#",
    ),
    *(
        b"GET ",
        b"HEAD ",
        b"POST ",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"/orders/cached",
        b"/orders/missed",
        b"/../",
        b"//",
        PLAIN,
    ),
    *(
        b"connection: close\r\n",
        b"connection: keep-alive\r\n",
        b"transfer-encoding: chunked\r\n",
        b"content-length: 5\r\n",
    ),
    *(
        b"if-none-match: *\r\n",
        b"x-request-id: a\r\n",
        b"x-api-key: a\r\n",
        b"authorization: Bearer a\r\n",
        b"a" * 3_000,
    ),
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    return b"\r\n".join([draw(LINES), *draw(st.lists(HEADERS, max_size=4)), b"", draw(BODIES)])


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """A few requests, valid or mutated, split into pieces."""
    each = requests() | st.just(PLAIN) | mutated(requests() | st.just(PLAIN), TOKENS)
    sent = b"".join(draw(st.lists(each, min_size=1, max_size=5)))
    cuts = sorted(draw(st.sets(st.integers(0, len(sent)), max_size=5)))
    pieces = [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    return [piece for piece in pieces if piece]


@pytest.fixture(scope="module")
def open_pair() -> ServerPair:
    return ServerPair()


@pytest.fixture(scope="module")
def locked_pair(tmp_path_factory: pytest.TempPathFactory) -> ServerPair:
    return ServerPair.with_keys(tmp_path_factory.mktemp("keys"), f"read {READ_KEY}")


@fuzzed
@given(pieces=conversations(), waits_for_responses=st.booleans())
def test_the_fast_path_responds_like_the_application(
    open_pair: ServerPair, *, pieces: list[bytes], waits_for_responses: bool
) -> None:
    response = open_pair.compare(*pieces, waits_for_responses=waits_for_responses)
    assert b"HTTP/1.1 500 " not in response


@fuzzed
@given(pieces=conversations(), waits_for_responses=st.booleans())
def test_without_a_key_no_order_is_served(
    locked_pair: ServerPair, *, pieces: list[bytes], waits_for_responses: bool
) -> None:
    response = locked_pair.compare(*pieces, waits_for_responses=waits_for_responses)
    assert b"HTTP/1.1 500 " not in response
    if READ_KEY.encode() not in b"".join(pieces):
        assert b'"order_uid"' not in response


# Parameters

MARK = "Zq7mark"
numbers = st.integers(-(10**20), 10**20).map(str) | st.text(st.characters(codec="utf-8"), max_size=10)
uids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True) | st.text(st.characters(codec="utf-8"), max_size=70)
cursors = st.tuples(numbers, uids).map(".".join) | st.tuples(numbers, numbers).map(".".join) | uids
names = st.sampled_from(["limit", "cursor", "customer_id", "track_number", "created_from", "reason", "unknown"])
pairs = st.tuples(names, cursors | numbers | uids | st.just(f"{MARK}\0"))
queries = st.lists(pairs.map(lambda pair: f"{pair[0]}={quote(pair[1])}"), max_size=5).map("&".join)
"""Well-formed queries; `raw_queries` adds arbitrary bytes."""
raw_queries = (
    queries
    | st.from_regex(r"cursor=-?[0-9]{15,25}\.[a-z]{1,3}", fullmatch=True)
    | st.binary(max_size=50).map(lambda text: quote_from_bytes(text, safe="&=+;%"))
)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> InMemoryServer:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"read,dead-letters {READ_KEY}\n")
    server = InMemoryServer(has_fast_path=False, keys=Keys.load(path))
    page = server.reader.page

    async def page_of_sql(query: PageQuery) -> Page:
        page_values(query)  # builds the statement's parameters
        return await page(query)

    server.reader.page = page_of_sql  # type: ignore[method-assign]
    return server


@fuzzed
@given(target=st.sampled_from(["/orders", "/dead-letters"]), query=raw_queries)
def test_any_query_returns_a_page_or_names_the_invalid_parameter(
    application: InMemoryServer, target: str, query: str
) -> None:
    request = f"GET {target}?{query} HTTP/1.1\r\nhost: x\r\nx-api-key: {READ_KEY}\r\n\r\n".encode()
    head, _, body = asyncio.run(application.exchange([request], waits_for_responses=True)).written.partition(
        b"\r\n\r\n"
    )
    status = int(head.split()[1])
    assert status in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY}
    document = json.loads(body)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        assert {each["name"] for each in document["errors"]} <= {
            "limit",
            "cursor",
            "customer_id",
            "track_number",
            "created_from",
            "reason",
            "",  # an unknown parameter
        }
        assert all(re.fullmatch(r"[a-z_]+", each["rule"]) for each in document["errors"])
        assert MARK.encode() not in body


@fuzzed
@given(st.from_regex(r"-?[0-9]{1,18}\.[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_a_cursor_of_orders_survives_a_round_trip(cursor: str) -> None:
    parsed = parse_cursor(cursor)
    assert parsed is not None
    assert parse_cursor(f"{parsed.created_us}.{parsed.order_uid}") == parsed
    page_values(PageQuery(1, parsed, None, None))


@fuzzed
@given(st.integers(-(10**18), 10**18), uids)
def test_a_cursor_may_have_any_time(time_us: int, uid: str) -> None:
    page_values(PageQuery(1, PageCursor(time_us, uid), None, None))


@fuzzed
@given(st.dictionaries(st.integers(0, 10**9 - 1), st.integers(1, 10**18 - 1), min_size=1))
def test_a_cursor_of_dead_letters_survives_a_round_trip(before: dict[int, int]) -> None:
    assert parse_dead_letters_cursor(format_dead_letters_cursor(before)) == before


@fuzzed
@given(st.text(st.characters(codec="latin-1")) | st.from_regex(r'(W/)?"[^"]*"(, ?"[^"]*")*', fullmatch=True), st.text())
def test_any_if_none_match_can_be_compared_with_any_tag(if_none_match: str, tag: str) -> None:
    assert matches(tag, [if_none_match, "*"])
    matches(tag, [if_none_match])


BROADCASTER = new_broadcaster(max_clients=1)
BUFFER = BROADCASTER._buffer


@fuzzed
@given(st.text() | st.integers(-20, 60).map(lambda number: f"{BUFFER.process_id}-{number}"))
@example(f"{BUFFER.process_id}-{'9' * 15}")
def test_any_last_event_id_opens_a_stream_within_the_buffer(event_id: str) -> None:
    BROADCASTER.publish(stored("a"))
    stream = BROADCASTER.open(event_id)
    assert BUFFER.newest - 10 <= stream._last_number <= BUFFER.newest
    assert len(BUFFER.after(stream._last_number)) == BUFFER.newest - stream._last_number
    with pytest.raises(Problem):
        BROADCASTER.open(event_id)
    BROADCASTER._remove(stream)


# Settings and files

lines = st.text(st.characters(codec="utf-8"), max_size=60) | st.tuples(
    st.sampled_from(["read", "dead-letters", "read,dead-letters", "read,", "a replay", "b.c read", "a", "#", ""]),
    st.from_regex(r"[A-Za-z0-9._~+/=-]{18,30}", fullmatch=True),
).map(" ".join)
files = st.lists(lines, max_size=6).map(lambda several: "\n".join(several).encode()) | st.binary(max_size=100)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@fuzzed
@given(content=files, presented=st.text(st.characters(codec="latin-1")))
def test_a_key_file_is_accepted_or_rejected_without_quoting_it(folder: Path, content: bytes, presented: str) -> None:
    path = folder / "keys"
    path.write_bytes(content)
    keys = outcome_of(Keys.load, path)
    if isinstance(keys, Exception):
        assert re.fullmatch(r"(line \d+: )?[a-zA-Z0-9 ,'.:_~+/=-]+", str(keys))
        assert all(word not in str(keys) for word in content.decode(errors="replace").split() if len(word) >= 18)
    else:
        assert keys.holder(presented) is None or presented.encode() in content
        lines = [line.split() for line in content.decode("utf-8-sig", "replace").split("\n")]
        words = [line for line in lines if line and not line[0].startswith("#")]
        assert len(keys) + len(keys.problems) == len(words)
        found = [holder for *_, key in words if (holder := keys.holder(key))]
        assert found
        assert {scope for holder in found for scope in holder.scopes} <= {*KeyScope}
        assert all(holder.name for holder in found if KeyScope.REPLAY in holder.scopes)


def outcome_of(call: Callable[..., T], argument: Any) -> T | Exception:
    try:
        return call(argument)
    except (InvalidKeysFile, ValueError) as error:
        return error


sizes = st.text() | st.from_regex(r"\s*\d{1,400}(\.\d+)?\s*(ms|s|m|h|d|B|KiB|MiB|GiB)?\s*")


@fuzzed
@given(text=sizes, parse=st.sampled_from([parse_bytes, parse_seconds]))
def test_a_size_or_duration_is_parsed_or_rejected_without_quoting_it(text: str, parse: Callable[[str], Any]) -> None:
    parsed = outcome_of(parse, text)
    if isinstance(parsed, Exception):
        assert re.fullmatch("must be a (size|duration) such as .*", str(parsed))
    else:
        assert parsed >= 0


passwords = st.text(st.characters(codec="utf-8", exclude_characters="@", exclude_categories=["C"]), min_size=1).map(
    "Zq7{}".format
)


@fuzzed
@given(
    passwords,
    st.sampled_from(["postgresql://me:{}@host/db", "postgres://me:{}@h1:1,h2:2/db?a=b", "host=h password={}"]),
)
def test_a_connection_string_is_redacted(password: str, form: str) -> None:
    assert "Zq7" not in (redacted_dsn(form.format(password)) or "")
    assert redacted_dsn(password) == REDACTED
