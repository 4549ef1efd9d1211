from typing import NamedTuple

from tests.faults.replace import Replacement


class Mutation(NamedTuple):
    """A part of the guarantee, the replacement that breaks it, and the scenarios that must then fail."""

    guarantee: str
    replacement: Replacement
    scenarios: tuple[str, ...]
