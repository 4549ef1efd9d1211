"""The least that uvicorn can be given: an ASGI callable that answers bytes from a dict, with all headers made before.

`python -m bench.baselines.bare_asgi DOCUMENTS PORT`
"""

import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Self

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.baselines.documents import documents
from local.ports import HOST
from service.pkg.etag import split_etag, with_etag


class Answer(NamedTuple):
    start: Message
    body: Message

    @classmethod
    def of(cls, status: HTTPStatus, body: bytes, headers: Mapping[bytes, bytes]) -> Self:
        described = [*headers.items(), (b"content-length", b"%d" % len(body))]
        return cls(
            {"type": "http.response.start", "status": status, "headers": described},
            {"type": "http.response.body", "body": body},
        )


def application(answers: Mapping[str, Answer]) -> ASGIApp:
    unknown = Answer.of(HTTPStatus.NOT_FOUND, b"", {})

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        answer = answers.get(scope["path"], unknown)
        await send(answer.start)
        await send(answer.body)

    return app


def order(document: bytes) -> Answer:
    headers = {
        b"content-type": b"application/json",
        b"etag": b'"%s"' % split_etag(with_etag(document))[0],
        b"cache-control": b"private, no-cache",
        b"x-cache": b"hit",
    }
    return Answer.of(HTTPStatus.OK, document, headers)


def main() -> None:
    path, port = sys.argv[1:]
    answers = {f"/orders/{uid}": order(document) for uid, document in documents(Path(path))}
    app = application(answers)
    uvicorn.run(app, host=HOST, port=int(port), lifespan="off", log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
