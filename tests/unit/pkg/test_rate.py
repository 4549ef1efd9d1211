"""A rate is a count per measured time."""

import pytest

from service.pkg.rate import Rate
from tests.kit.fakes import FakeClock

WINDOW = 10.0


class Steady:
    """Adds `per_second` evenly, in sixteen steps, and observes twice a second."""

    def __init__(self, per_second: int) -> None:
        self.clock = FakeClock()
        self.rate = Rate(WINDOW, self.clock)
        self._step = per_second // 16

    def run(self, seconds: float) -> None:
        for step in range(round(seconds * 16)):
            self.clock.now += 1 / 16  # a binary fraction, so that times add up exactly
            self.rate.add(self._step)
            if step % 8 == 7:
                self.rate.observe()


@pytest.mark.parametrize("seconds", [1, 3, 9.5, 10, 10.5, 11, 60, 3_600])
def test_a_steady_rate_is_exact_from_the_first_second(seconds: float) -> None:
    steady = Steady(160)
    steady.rate.observe()
    steady.run(seconds)
    assert steady.rate.per_second == 160


def test_a_pause_lowers_the_rate_until_it_leaves_the_window() -> None:
    steady = Steady(160)
    steady.rate.observe()
    steady.run(20)
    for _ in range(10):
        steady.clock.now += 0.5
        steady.rate.observe()
    assert steady.rate.per_second == 80
    for _ in range(10):
        steady.clock.now += 0.5
        steady.rate.observe()
    assert steady.rate.per_second == 0
    steady.run(WINDOW)
    assert steady.rate.per_second == 160


def test_a_count_after_a_gap_is_spread_over_the_gap() -> None:
    steady = Steady(160)
    steady.rate.observe()
    steady.run(20)
    steady.clock.now += 60
    steady.rate.add(9_600)
    steady.rate.observe()
    assert steady.rate.per_second == 160
    steady.run(30)
    assert steady.rate.per_second == 160


def test_time_before_a_restart_is_not_measured() -> None:
    steady = Steady(160)
    steady.rate.observe()
    steady.run(20)
    steady.rate.restart()
    assert steady.rate.per_second is None
    steady.clock.now += 60
    steady.rate.observe()
    assert steady.rate.per_second is None
    steady.run(1)
    assert steady.rate.per_second == 160


def test_an_observation_older_than_the_window_is_dropped_once_a_later_one_covers_it() -> None:
    clock = FakeClock()
    rate = Rate(WINDOW, clock)
    rate.observe()
    rate.add(20)
    rates = []
    for _ in range(3):
        clock.advance(WINDOW * 2)
        rate.observe()
        rates.append(rate.per_second)
    assert rates == [1, 0, 0]


def test_there_is_no_rate_without_measured_time() -> None:
    clock = FakeClock()
    rate = Rate(WINDOW, clock)
    rate.add(5)
    assert rate.per_second is None
    rate.observe()
    rate.add(5)
    rate.observe()
    assert rate.per_second is None


def test_memory_is_bounded_by_the_window() -> None:
    steady = Steady(160)
    steady.run(60)
    assert len(steady.rate._observations) <= 2 * WINDOW + 1
