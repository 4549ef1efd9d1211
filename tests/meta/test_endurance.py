"""The table of an endurance run."""

import pytest

from tests.endurance.faults import FAULTS, in_turn
from tests.endurance.samples import START, Sample, cells, growth, table

MIB = 2**20


def sample(seconds: float, processed: int, mib: int = 100, faults: tuple[str, ...] = ()) -> Sample:
    return Sample(seconds, processed + 5, processed, 3 * 2**30, mib * MIB, faults)


def test_a_rate_covers_the_time_since_the_previous_sample() -> None:
    assert cells(sample(60, 6_000), sample(90, 12_000)) == ("1.5", "12,005", "12,000", "200", "3.0", "100", "")
    assert cells(START, sample(60, 6_000))[3] == "100"


def test_the_table_has_a_row_for_each_sample() -> None:
    rendered = table([sample(60, 600), sample(120, 1_200, faults=("Kafka is killed", "PostgreSQL is killed"))])
    assert len(rendered.splitlines()) == 4
    assert "Kafka is killed, PostgreSQL is killed |" in rendered


@pytest.mark.parametrize(("sizes", "expected"), [([100, 90, 110, 95], 1.1), ([100, 200, 150, 100], 0.75)])
def test_growth_compares_the_peaks_of_both_halves(sizes: list[int], expected: float) -> None:
    samples = [sample(60 * number, number, mib) for number, mib in enumerate(sizes, 1)]
    assert growth(samples) == pytest.approx(expected)


def test_each_fault_happens_before_one_is_repeated() -> None:
    turn = in_turn()
    assert [next(turn) for _ in range(len(FAULTS) + 1)] == [*FAULTS, FAULTS[0]]
