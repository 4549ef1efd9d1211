"""Validates the topics of the consumer."""

import re
from typing import Final

from service.entities.subscription import Subscription
from service.entities.version import MAX_TOPIC_LENGTH

TOPIC_NAME: Final = rf"^[A-Za-z0-9._-]{{1,{MAX_TOPIC_LENGTH}}}$"
_RESERVED: Final = {".", ".."}
_ATOM: Final = r"[A-Za-z0-9._)|$-]|\((?![*+?{])|\\\.|\[\^?[A-Za-z0-9._-]+\]"
_QUANTIFIER: Final = r"[*+?]|\{\d{1,3}(?:,\d{0,3})?\}"
_COMMON_SYNTAX: Final = re.compile(rf"\^(?:(?:{_ATOM})(?:{_QUANTIFIER})?)*")
"""What the client (POSIX), brokers (RE2) and Python understand alike."""


def topic_name(name: str) -> str:
    """Return the name. Raises ValueError if Kafka reserves it."""
    if name in _RESERVED:
        raise ValueError("Kafka does not allow this topic name")
    return name


def topics(text: str) -> str:
    """Return the list without spaces around its commas, or the pattern. Raises ValueError."""
    return _pattern(text.strip()) if text.lstrip().startswith("^") else _names(text)


def _names(text: str) -> str:
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    for number, name in enumerate(names, 1):
        if problem := _problem(name):
            raise ValueError(f"entry {number} of {len(names)}: {problem}")
        if name in names[: number - 1]:
            raise ValueError(f"entry {number} of {len(names)} is a duplicate")
    return ",".join(names)


def _problem(name: str) -> str | None:
    if not name:
        return "empty topic name"
    if len(name) > MAX_TOPIC_LENGTH:
        return f"the topic name has {len(name)} characters, but Kafka allows {MAX_TOPIC_LENGTH}"
    if name.startswith("^"):
        return "a pattern cannot be combined with other topics: write one pattern with alternatives, ^(a|b)"
    if not re.fullmatch(TOPIC_NAME, name) or name in _RESERVED:
        return "Kafka does not allow this topic name: use letters, digits, dot, underscore and hyphen"
    return None


def _pattern(text: str) -> str:
    if not _COMMON_SYNTAX.fullmatch(text):
        raise ValueError(
            r"unsupported pattern: besides characters of topic names, use . \. [ab] [^a-z] ( | ) * + ? {m,n} and $"
        )
    try:
        re.compile(Subscription((), text).anchored_pattern)
    except re.error as error:
        raise ValueError(f"invalid pattern: {error.msg}") from None
    return text
