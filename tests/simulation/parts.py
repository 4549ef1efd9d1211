"""The two simulations: of the consumer and of the API."""

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from tests.simulation import coverage, plan, shrink, simulation
from tests.simulation.api import plan as api_plan
from tests.simulation.api import simulation as api_simulation
from tests.simulation.result import Result


class Summary(NamedTuple):
    seed: int
    problem: str | None
    pairs: frozenset[Any]
    digest: str


class Part(NamedTuple):
    name: str
    plan_of: Callable[[int], Any]
    simulate: Callable[[Any], Result]
    faults: type[Enum]
    places: type[Enum]
    where: str

    def run(self, seed: int) -> Summary:
        result = self.simulate(self.plan_of(seed))
        return Summary(seed, result.problem, result.pairs, result.digest)

    def coverage(self, pairs: Collection[Any]) -> Iterator[str]:
        """Return lines about where the faults of all seeds together struck."""
        return coverage.report(pairs, self.faults, self.places, self.where)

    def report(self, seed: int) -> str:
        """Return the timeline of a seed that fails, with the fewest faults."""
        return shrink.report(shrink.shrink(self.simulate(self.plan_of(seed)), self.simulate))


_CONSUMER: Final = Part("consumer", plan.plan_of, simulation.simulate, plan.FaultKind, plan.Stage, "while")
_API: Final = Part("api", api_plan.plan_of, api_simulation.simulate, api_plan.FaultKind, api_plan.Layout, "with")
PARTS: Final[Mapping[str, Part]] = {each.name: each for each in (_CONSUMER, _API)}
