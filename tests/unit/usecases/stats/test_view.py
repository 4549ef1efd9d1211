"""The hit ratio of the statistics."""

import pytest

from service.usecases.stats.view import hit_ratio


@pytest.mark.parametrize(("hits", "misses", "ratio"), [(3, 1, 0.75), (0, 5, 0), (5, 0, 1), (5, 5, 0.5)])
def test_the_hit_ratio_is_the_share_of_hits_among_lookups(hits: int, misses: int, ratio: float) -> None:
    assert hit_ratio(hits, misses) == ratio


def test_before_the_first_lookup_there_is_no_hit_ratio() -> None:
    assert hit_ratio(0, 0) is None
