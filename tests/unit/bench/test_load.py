"""The load generator counts complete responses and fails on a wrong one."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from os import getpid
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from bench import http_servers, reads
from bench.context import Context
from bench.fixtures import FixtureFiles
from bench.load import LoadResult, Target, UnexpectedResponse, is_complete, load
from local.ports import HOST
from tests.kit.waiting import one_iteration

BODY = b'{"order_uid":"1"}'
WHOLE = b"HTTP/1.1 200 OK\r\nX-Cache: hit\r\nContent-Length: 17\r\nETag: x\r\n\r\n" + BODY


def response(status: str = "200 OK", length: int | None = len(BODY), body: bytes = BODY) -> bytes:
    head = f"HTTP/1.1 {status}\r\n" + (f"content-length: {length}\r\n" if length is not None else "")
    return f"{head}\r\n".encode() + body


def test_a_response_is_complete_at_its_last_byte() -> None:
    assert [cut for cut in range(len(WHOLE) + 1) if is_complete(WHOLE[:cut], len(BODY))] == [len(WHOLE)]


@pytest.mark.parametrize("name", ["Content-Length: ", "content-length:", "CONTENT-LENGTH:  "])
def test_the_content_length_header_is_case_insensitive(name: str) -> None:
    assert is_complete(f"HTTP/1.1 200 OK\r\n{name}17\r\n\r\n".encode() + BODY, len(BODY))


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (response("404 Not Found"), "not a 200"),
        (b"HTTP/1.1 5", "not a 200"),
        (response(length=16), "a body of 16 bytes instead of 17"),
        (response(length=None), "a body of None bytes instead of 17"),
        (response(length=18, body=b""), "a body of 18 bytes instead of 17"),
        (WHOLE + b"HTTP", "4 unexpected bytes"),
    ],
    ids=["other status", "incomplete status", "short body", "no length", "long body", "excess bytes"],
)
def test_a_wrong_response_raises_at_once(received: bytes, problem: str) -> None:
    with pytest.raises(UnexpectedResponse, match=problem):
        is_complete(received, len(BODY))


class Server:
    """Sends the same pieces for each request, or closes the connection if there are none, and counts the paths."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.paths: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while request := await reader.readline():
                self.paths[request.split()[1].decode()] += 1
                await reader.readuntil(b"\r\n\r\n")
                if not self.pieces:
                    break
                for piece in self.pieces:
                    writer.write(piece)
                    await one_iteration()  # lets the client read the piece separately


def loaded(
    server: Server, targets: list[Target], *, connections: int = 2, requests: int = 6, **more: Any
) -> LoadResult:
    async def run() -> LoadResult:
        async with await asyncio.start_server(server.serve, HOST, 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await load(port, targets, connections=connections, requests=requests, **more)

    return asyncio.run(run())


def test_every_request_is_sent_once_even_if_responses_arrive_in_pieces() -> None:
    server = Server(WHOLE[:5], WHOLE[5:40], WHOLE[40:-1], WHOLE[-1:])
    report = loaded(server, [Target("/a", len(BODY)), Target("/b", len(BODY)), Target("/c", len(BODY))], requests=7)
    assert server.paths == {"/a": 3, "/b": 2, "/c": 2}
    assert report.requests == 7
    assert 0 < report.p50_ms <= report.p99_ms <= 1_000 * report.seconds


def test_there_may_be_more_connections_than_requests() -> None:
    assert loaded(Server(WHOLE), [Target("/a", len(BODY))], connections=5, requests=2).requests == 2


def test_the_warm_up_does_not_count() -> None:
    server = Server(WHOLE)
    targets = [Target("/a", len(BODY)), Target("/b", len(BODY))]
    report = loaded(server, targets, connections=3, requests=4, warm_up=5)
    assert server.paths.total() == 9
    assert report.requests == 4


def test_the_cpu_time_of_the_warm_up_does_not_count() -> None:
    started = process_time()
    report = loaded(Server(WHOLE), [Target("/a", len(BODY))], warm_up=2_000, requests=20, pids=[getpid()])
    assert 0 < report.cpu_seconds < (process_time() - started) / 2


def test_a_connection_closed_during_the_warm_up_fails_the_run() -> None:
    with pytest.raises((UnexpectedResponse, ConnectionError)):
        loaded(Server(), [Target("/a", len(BODY))], warm_up=1)


def test_one_wrong_response_fails_the_run() -> None:
    with pytest.raises(UnexpectedResponse, match="a body of 17 bytes instead of 18"):
        loaded(Server(WHOLE), [Target("/a", len(BODY)), Target("/b", len(BODY) + 1)])


def test_a_connection_closed_early_fails_the_run() -> None:
    with pytest.raises((UnexpectedResponse, ConnectionError)):
        loaded(Server(), [Target("/a", len(BODY))])


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def baselines(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[http_servers.HttpServer]]:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(reads, "BASELINES", ["go", "nginx"])
    context = Context("", "", tmp_path, rounds=1, scale=1, echo=lines.append)
    with ExitStack() as running:
        yield [*reads._baselines(context, FixtureFiles(tmp_path, {}), running)]


def test_baselines_that_are_not_installed_are_reported_and_skipped(
    baselines: list[http_servers.HttpServer], lines: list[str]
) -> None:
    assert baselines == []
    assert lines == [f"reads: skipping baseline {name}: {name} is not installed" for name in ("go", "nginx")]
