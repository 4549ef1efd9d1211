"""Limits the size of a request's head: the request line and the headers."""

from http import HTTPStatus
from typing import Final

from service.errors import RequestRefused

MAX_HEADERS: Final = 100
"""Headers of a request. Each uses about 150 bytes of memory, and may be as short as 5 bytes."""
_HEADER_SEPARATORS_BYTES: Final = len(b": \r\n")


class RequestHead:
    """The size of one request's head. The methods raise RequestRefused if it is too large."""

    __slots__ = ("_headers", "_max_bytes", "incomplete_bytes", "parsed_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._headers = 0
        self.parsed_bytes = 0
        self.incomplete_bytes = 0
        """Bytes received while the head is incomplete: the parser does not report a header before its end."""

    def add_url(self, url: bytes) -> None:
        self._add(len(url))

    def add_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self._add(len(name) + len(value) + _HEADER_SEPARATORS_BYTES)

    def _add(self, size: int) -> None:
        self.parsed_bytes += size
        if self.parsed_bytes > self._max_bytes:
            raise RequestRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
