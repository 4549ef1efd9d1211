"""Bodies that do not arrive whole, or not in time. The tests of the routes have the others."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive

from service.handler.http.requests import body
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem


async def never() -> Message:
    await asyncio.Event().wait()
    return {}


async def disconnected() -> Message:
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("receive", "kind", "detail"),
    [
        (never, ProblemType.BODY_TIMEOUT, "did not arrive within 0.01 s"),
        (disconnected, ProblemType.MALFORMED_BODY, "is incomplete"),
    ],
)
def test_a_body_that_does_not_arrive_is_refused(
    receive: Receive, kind: ProblemType, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_SECONDS", 0.01)
    request = Request({"type": "http", "headers": [(b"content-type", b"application/json")]}, receive)
    with pytest.raises(Problem) as refused:
        asyncio.run(body.read_json_body(request, 100))
    assert (refused.value.kind, refused.value.detail) == (kind, f"the request body {detail}")


def test_a_compressed_body_is_refused_unread_with_the_accepted_encoding() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    with pytest.raises(Problem) as refused:
        asyncio.run(body.read_json_body(Request({"type": "http", "headers": headers}, disconnected), 100))
    assert refused.value.kind is ProblemType.UNSUPPORTED_MEDIA_TYPE
    assert refused.value.headers == {"accept-encoding": "identity"}
