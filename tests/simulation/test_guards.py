"""The guarantees that simulations must show to be needed."""

from tests.simulation.guards import MUTATIONS
from tests.simulation.real_servers import ONLY_ON_REAL_SERVERS


def test_each_exception_is_a_mutation() -> None:
    assert ONLY_ON_REAL_SERVERS.keys() - {each.guarantee for each in MUTATIONS} == set()
