"""Fails a test with the timeline of the simulation that it ran."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.result import Result
from tests.simulation.shrink import report, shrink


def require_passed(simulate: Callable[[Any], Result], plan: Any) -> Result:
    """Simulate, and fail with the timeline of the fewest faults."""
    result = simulate(plan)
    if result.problem is not None:
        pytest.fail(report(shrink(result, simulate)), pytrace=False)
    return result
