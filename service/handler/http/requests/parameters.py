"""Types of query parameters that several routes share."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, LiteralString

from fastapi import Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from service.pkg.timestamps import parse_timestamp, parse_timestamp_or_age


def _validator(parse: Callable[[str], datetime], rule: LiteralString) -> BeforeValidator:
    """Return a validator that names the rule and its text if `parse` raises ValueError.

    pydantic's own rule for a datetime also accepts numbers.
    """

    def validate(text: str) -> datetime:
        try:
            return parse(text)
        except ValueError as error:
            raise PydanticCustomError(rule, "{hint}", {"hint": str(error)}) from None

    return BeforeValidator(validate)


FilterText = Annotated[str | None, Query(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
TimeParameter = Annotated[datetime | None, _validator(parse_timestamp, "timestamp")]
TimeOrAgeParameter = Annotated[datetime | None, _validator(parse_timestamp_or_age, "timestamp_or_age")]
AGE_DESCRIPTION: Final = "or an age such as `90m` or `40d`, which means this long ago"
"""Ends the description of a TimeOrAgeParameter."""
