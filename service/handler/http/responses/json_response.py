"""Responses with JSON, and how long clients may keep them."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response

NO_STORE: Final = {"cache-control": "no-store"}
REVALIDATE: Final = {"cache-control": "private, no-cache"}


def json_response(body: bytes | memoryview, headers: Mapping[str, str] = NO_STORE) -> Response:
    return Response(body, headers=headers, media_type="application/json")


def struct_response(body: Struct, headers: Mapping[str, str] = NO_STORE) -> Response:
    return json_response(msgspec.json.encode(body), headers)
