"""An erasure is forgotten only if no record would restore the order. tests/integration/test_erase.py undoes some."""

from math import inf

import pytest

from service.errors import CommandError
from service.usecases.erase import require_no_older_records

DAY_SECONDS = 86_400


@pytest.mark.parametrize("max_age", [41 * DAY_SECONDS, inf])
def test_erasures_are_kept_while_a_topic_may_have_older_records(max_age: float) -> None:
    with pytest.raises(CommandError, match="too short: orders keeps records"):
        require_no_older_records(40 * DAY_SECONDS, {"orders.dlq": DAY_SECONDS, "orders": max_age})


def test_erasures_older_than_every_record_may_be_forgotten() -> None:
    require_no_older_records(40 * DAY_SECONDS, {"orders.dlq": DAY_SECONDS, "orders": 40 * DAY_SECONDS})
