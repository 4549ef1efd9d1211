import pytest

from tests.kit.failpoints import FAILPOINTS, Failpoint


@pytest.mark.parametrize("failpoint", FAILPOINTS.values(), ids=list(FAILPOINTS))
def test_the_function_of_a_failpoint_exists(failpoint: Failpoint) -> None:
    assert callable(getattr(failpoint.owner, failpoint.name))
