"""The orders of the benchmark resemble those of producers."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bench.fixtures import _orders


def test_orders_are_dated_in_order_and_end_now() -> None:
    started_at = datetime.now(UTC)
    dates = [each.order.date_created for each in _orders(2_000)]
    ended_at = datetime.now(UTC)
    disorder = timedelta(seconds=1)  # fractions of a second are random
    assert started_at - 2 * disorder < min(dates)
    assert max(dates) < ended_at
    assert all(later > earlier - disorder for earlier, later in pairwise(dates))
