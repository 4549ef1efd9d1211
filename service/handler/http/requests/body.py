"""Reads the body of a request, within limits."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem

BODY_TIMEOUT_SECONDS: Final = 10.0
"""How long a client may take to send the body."""
_JSON: Final = "application/json"


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return the body. Raises Problem if it is not declared as JSON, too large, too slow or incomplete."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise Problem(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"the request body must be {_JSON}")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            return await _read(request, max_bytes)
    except TimeoutError:
        detail = f"the request body did not arrive within {BODY_TIMEOUT_SECONDS:g} s"
        raise Problem(ProblemType.BODY_TIMEOUT, detail) from None
    except ClientDisconnect:
        raise Problem(ProblemType.MALFORMED_BODY, "the request body is incomplete") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            detail = f"the request body is larger than {max_bytes} bytes"
            raise Problem(ProblemType.BODY_TOO_LARGE, detail)
    return bytes(body)
