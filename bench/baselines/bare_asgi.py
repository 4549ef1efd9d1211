"""The fastest uvicorn application: an ASGI callable that returns bytes from a dict, with precomputed headers.

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


class CachedResponse(NamedTuple):
    start: Message
    body: Message

    @classmethod
    def of(cls, status: HTTPStatus, body: bytes, headers: Mapping[bytes, bytes]) -> Self:
        with_length = [*headers.items(), (b"content-length", b"%d" % len(body))]
        return cls(
            {"type": "http.response.start", "status": status, "headers": with_length},
            {"type": "http.response.body", "body": body},
        )


def application(responses: Mapping[str, CachedResponse]) -> ASGIApp:
    not_found = CachedResponse.of(HTTPStatus.NOT_FOUND, b"", {})

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        response = responses.get(scope["path"], not_found)
        await send(response.start)
        await send(response.body)

    return app


def order(document: bytes) -> CachedResponse:
    headers = {
        b"content-type": b"application/json",
        b"etag": b'"%s"' % split_etag(with_etag(document))[0],
        b"cache-control": b"private, no-cache",
        b"x-cache": b"hit",
    }
    return CachedResponse.of(HTTPStatus.OK, document, headers)


def main() -> None:
    path, port = sys.argv[1:]
    app = application({f"/orders/{uid}": order(document) for uid, document in documents(Path(path))})
    uvicorn.run(app, host=HOST, port=int(port), lifespan="off", log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
