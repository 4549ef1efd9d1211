"""How fast a group was, by what it committed and when."""

import pytest

from bench.groups import Commit, progress
from service.errors import ServerUnavailable


def test_what_the_first_commit_covers_does_not_count() -> None:
    commits = [Commit(10.0, 0, 100), Commit(11.0, 0, 300), Commit(12.0, 0, 500)]
    assert progress(commits) == (400, 2.0)


def test_a_commit_may_cover_several_partitions_and_others_begin_later() -> None:
    commits = [Commit(10.0, 0, 100), Commit(10.0, 1, 50), Commit(11.0, 2, 70), Commit(12.0, 0, 300)]
    assert progress(commits) == (270, 2.0)


@pytest.mark.parametrize("commits", [[], [Commit(10.0, 0, 100)], [Commit(10.0, 0, 100), Commit(10.0, 1, 100)]])
def test_a_run_of_one_commit_can_not_be_timed(commits: list[Commit]) -> None:
    with pytest.raises(ServerUnavailable, match="too few messages"):
        progress(commits)
