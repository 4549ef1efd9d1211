"""Types of command-line arguments for argparse. All raise ArgumentTypeError."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from service.pkg.network import MAX_PORT
from service.pkg.timestamps import parse_timestamp, parse_timestamp_or_age
from service.pkg.units import parse_duration

T = TypeVar("T")


def non_negative_int(text: str) -> int:
    if (number := _integer(text)) < 0:
        raise ArgumentTypeError("must be a whole number, 0 or greater")
    return number


def positive_int(text: str) -> int:
    if (number := _integer(text)) < 1:
        raise ArgumentTypeError("must be a whole number, 1 or greater")
    return number


def port(text: str) -> int:
    if not 0 < (number := _integer(text)) <= MAX_PORT:
        raise ArgumentTypeError(f"must be a port number between 1 and {MAX_PORT}")
    return number


def positive_float(text: str) -> float:
    if not 0 < (number := _number(text)) < math.inf:
        raise ArgumentTypeError("must be a number greater than 0")
    return number


def rate(text: str) -> float:
    """Return a number per second; 0 means unlimited."""
    if not 0 <= (number := _number(text)) < math.inf:
        raise ArgumentTypeError("must be a number per second, or 0 for no limit")
    return number


def fraction(text: str) -> float:
    if not 0 <= (number := _number(text)) <= 1:
        raise ArgumentTypeError("must be a number between 0 and 1, such as 0.02 for 2 %")
    return number


def timestamp(text: str) -> datetime:
    """Parse RFC 3339 such as `2026-11-23T10:00:00Z`. A time zone is required."""
    return _parsed(parse_timestamp, text)


def timestamp_or_age(text: str) -> datetime:
    """Parse a timestamp, or an age such as `90m` or `40d`: the time this long ago."""
    return _parsed(parse_timestamp_or_age, text)


def duration(text: str) -> float:
    """Return the seconds of a duration such as `90m`, `40d` or `1h30m`. A number alone is rejected."""
    return _parsed(parse_duration, text)


def duration_or_seconds(text: str) -> float:
    """Return the seconds of a duration, in which a number alone is seconds."""
    return duration(text if math.isnan(_number(text)) else f"{text}s")


def duration_up_to(max_seconds: int) -> Callable[[str], float]:
    """Return the type of a duration that is greater than 0 and at most this long, in seconds."""

    def limited(text: str) -> float:
        if not 0 < (seconds := duration(text)) <= max_seconds:
            raise ArgumentTypeError(f"must be more than 0 and at most {max_seconds // 86_400}d")
        return seconds

    return limited


def _parsed(parse: Callable[[str], T], text: str) -> T:
    """Raise the error whose text argparse prints."""
    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _integer(text: str) -> int:
    """Return the number if the text is plain digits, else -1."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
