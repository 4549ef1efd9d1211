"""Parses durations and sizes with units: `500ms`, `10m`, `256MiB`."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

_SECONDS_BY_UNIT: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES_BY_UNIT: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_COMPOUND_DURATION: Final = re.compile(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?", re.ASCII)
_NUMBER_WITH_UNIT: Final = re.compile(r"\s*(?P<number>\d+(\.\d+)?)\s*(?P<unit>[A-Za-z]*)\s*", re.ASCII)


def parse_seconds(value: Any) -> Any:
    """Parse `1.5`, `500ms`, `10s`, `10m`, `2h` or `1d` as seconds."""
    return _scaled(value, _SECONDS_BY_UNIT, "a duration such as 500ms, 10s, 5m, 2h or 1d")


def parse_age(value: Any) -> Any:
    """Parse a duration such as `90m` or `40d` as seconds. A text without a unit is rejected: it could mean days."""
    if isinstance(value, str) and not value.strip()[-1:].isalpha():
        raise ValueError("must be a number with a unit (s, m, h or d), such as 40d")
    return parse_seconds(value)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `90m`, `40d` or `1h30m`. Raises ValueError, also for a number alone."""
    compound = _COMPOUND_DURATION.fullmatch(text.strip())
    parts = filter(None, compound.groups()) if compound and compound[0] else [text]
    seconds = sum(float(parse_age(part)) for part in parts)
    if not math.isfinite(seconds):
        raise ValueError("is too long")
    return seconds


def parse_bytes(value: Any) -> Any:
    """Parse `1048576`, `512KiB`, `256MiB` or `1GiB` as bytes."""
    scaled = _scaled(value, _BYTES_BY_UNIT, "a size such as 1048576, 512KiB, 256MiB or 1GiB")
    return int(scaled) if isinstance(scaled, float) else scaled


def _scaled(value: Any, units: Mapping[str, float], expected: str) -> Any:
    if not isinstance(value, str):
        return value
    match = _NUMBER_WITH_UNIT.fullmatch(value)
    if match is None or (match["unit"] and match["unit"] not in units):
        raise ValueError(f"must be {expected}")
    return float(match["number"]) * units.get(match["unit"], 1)
