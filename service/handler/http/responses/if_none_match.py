"""Conditional responses: ETags, and the header If-None-Match (RFC 9110, 8.8.3 and 13.1.2)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from service.handler.http.responses.json_response import REVALIDATE, json_response

_OPAQUE_TAG: Final = re.compile(r'"([^"]*)"')


def matches(tag: str, if_none_match: Iterable[str]) -> bool:
    """Return whether one of the If-None-Match headers' values has the tag, by weak comparison."""
    return any(value.strip() == "*" or tag in _OPAQUE_TAG.findall(value) for value in if_none_match)


def conditional_response(
    body: bytes | memoryview, tag: str, if_none_match: Sequence[str], headers: Mapping[str, str]
) -> Response:
    """Return 200 with the body, or 304 if one of the If-None-Match headers' values has the tag."""
    all_headers = {**REVALIDATE, "etag": f'"{tag}"', **headers}
    if matches(tag, if_none_match):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=all_headers)
    return json_response(body, all_headers)
