"""Entity tags and the comparison that If-None-Match asks for (RFC 9110, 8.8.3 and 13.1.2)."""

import re
from collections.abc import Iterable
from typing import Final

_OPAQUE_TAG: Final = re.compile(r'"([^"]*)"')


def matches(tag: str, if_none_match: Iterable[str]) -> bool:
    """Tell whether the client holds it: `if_none_match` are the values of that header, weakly compared."""
    return any(value.strip() == "*" or tag in _OPAQUE_TAG.findall(value) for value in if_none_match)
