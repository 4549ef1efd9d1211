"""The two simulations: of the consumer and of the API."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from tests.simulation import coverage, shrink
from tests.simulation.api import coverage as api_coverage
from tests.simulation.api.plan import plan_of as api_plan_of
from tests.simulation.api.simulation import simulate as simulate_api
from tests.simulation.plan import plan_of
from tests.simulation.simulation import simulate


class Summary(NamedTuple):
    seed: int
    problem: str | None
    covered: frozenset[Any]
    digest: str


class Part(NamedTuple):
    name: str
    run: Callable[[int], Summary]
    coverage: Callable[[Collection[Any]], Iterable[str]]
    """Returns lines about what all seeds together covered."""
    report: Callable[[int], str]
    """Returns the timeline of a seed that fails, with the fewest faults."""


def _run_consumer(seed: int) -> Summary:
    result = simulate(plan_of(seed))
    return Summary(seed, result.problem, result.pairs, result.digest)


def _run_api(seed: int) -> Summary:
    result = simulate_api(api_plan_of(seed))
    return Summary(seed, result.problem, result.struck, result.digest)


def _report_consumer(seed: int) -> str:
    return shrink.report(shrink.shrink(simulate(plan_of(seed)), simulate))


def _report_api(seed: int) -> str:
    return shrink.report(shrink.shrink(simulate_api(api_plan_of(seed)), simulate_api))


PARTS: Final[Mapping[str, Part]] = {
    "consumer": Part("consumer", _run_consumer, coverage.report, _report_consumer),
    "api": Part("api", _run_api, api_coverage.report, _report_api),
}
