"""The throughput of a group, computed from its commits."""

import pytest

from bench.groups import Commit, progress
from service.errors import ServerUnavailable


def test_messages_before_the_first_commit_do_not_count() -> None:
    commits = [Commit(10.0, 0, 100), Commit(11.0, 0, 300), Commit(12.0, 0, 500)]
    assert progress(commits) == (400, 2.0)


def test_partitions_may_be_committed_together_or_start_later() -> None:
    commits = [Commit(10.0, 0, 100), Commit(10.0, 1, 50), Commit(11.0, 2, 70), Commit(12.0, 0, 300)]
    assert progress(commits) == (270, 2.0)


@pytest.mark.parametrize("commits", [[], [Commit(10.0, 0, 100)], [Commit(10.0, 0, 100), Commit(10.0, 1, 100)]])
def test_a_single_commit_is_an_error(commits: list[Commit]) -> None:
    with pytest.raises(ServerUnavailable, match="too few messages"):
        progress(commits)
