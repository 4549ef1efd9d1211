"""Compares ETags with the header If-None-Match (RFC 9110, 8.8.3 and 13.1.2)."""

import re
from collections.abc import Iterable
from typing import Final

_OPAQUE_TAG: Final = re.compile(r'"([^"]*)"')


def matches(tag: str, if_none_match: Iterable[str]) -> bool:
    """Return whether one of the If-None-Match headers' values has the tag, by weak comparison."""
    return any(value.strip() == "*" or tag in _OPAQUE_TAG.findall(value) for value in if_none_match)
