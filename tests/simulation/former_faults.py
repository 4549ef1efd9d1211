"""Faults of the consumer that the simulation has found, put back as mutations."""

from typing import Final

from tests.faults.mutations.dead_letters import BREAKER
from tests.faults.mutations.mutation import PIPELINE, Mutation
from tests.faults.replace import Replacement

MUTATIONS: Final = (
    Mutation(
        "the circuit breaker closes once nothing that it held back is left to store",
        Replacement(
            BREAKER, "CircuitBreaker._probe_orders", "not starts_over or self._rejected_in_round + rejected > 0", "True"
        ),
        (),
    ),
    Mutation(
        "ends of partitions of which nothing is held back are committed while the circuit breaker is open",
        Replacement(
            PIPELINE,
            "BatchPipeline.advance_to_ends",
            "self.state.breaker_pause is None",
            "not (self.state.breaker_pause or self.state.is_breaker_open)",
        ),
        (),
    ),
)
