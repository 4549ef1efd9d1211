"""Reads the body of a request, within limits, and decodes it."""

import asyncio
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from service.entities.dead_letter import Violation
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem, invalid_body

T = TypeVar("T", bound=msgspec.Struct)

BODY_TIMEOUT_SECONDS: Final = 10.0
"""How long a client may take to send the body."""
_JSON: Final = "application/json"
_NOT_ENCODED: Final = "identity"


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return the body. Raises Problem if it is not declared as plain JSON, too large, too slow or incomplete."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise Problem(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"the request body must be {_JSON}")
    if request.headers.get("content-encoding", _NOT_ENCODED).lower() != _NOT_ENCODED:
        # RFC 9110, section 12.5.3: the header says that the encoding is the problem
        headers = {"accept-encoding": _NOT_ENCODED}
        raise Problem(ProblemType.UNSUPPORTED_MEDIA_TYPE, "the request body must not be compressed", headers=headers)
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


def decode_json(body: bytes, body_type: type[T]) -> T:
    """Raise Problem if the body is not JSON, or violates a rule of the type."""
    try:
        return msgspec.json.decode(body, type=body_type)
    except msgspec.ValidationError as error:
        raise invalid_body([_violation(error)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(ProblemType.MALFORMED_BODY, "the request body is malformed JSON") from None


def _violation(error: msgspec.ValidationError) -> Violation:
    """Return the path and rule of a violation, without the names of unknown members, which the client sent."""
    rule, _, path = str(error).partition(" - at `$")
    if rule.startswith("Object contains unknown field"):
        rule = "unknown member"
    return Violation(path.strip(".`"), rule.replace("`", ""))
