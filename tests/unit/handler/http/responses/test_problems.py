"""Types of problem details."""

from service.handler.http.responses.problem_types import ProblemType


def test_types_are_unique() -> None:
    assert len({kind.urn for kind in ProblemType}) == len(ProblemType)
