"""Query parameters that have the same text form as arguments of the command line."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any, LiteralString

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def parsed(parse: Callable[[str], Any], rule: LiteralString, problem: LiteralString) -> BeforeValidator:
    """Return a validator that parses a text, and breaks `rule` if `parse` raises ArgumentTypeError."""

    def validate(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except ArgumentTypeError:
            raise PydanticCustomError(rule, problem) from None

    return BeforeValidator(validate)
