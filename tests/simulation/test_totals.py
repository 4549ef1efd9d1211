"""What is kept of many simulations."""

from tests.simulation.parts import PARTS, Summary
from tests.simulation.plan import FaultKind, Stage
from tests.simulation.totals import Totals

PAIR = (FaultKind.KAFKA_DOWN, Stage.IDLE)


def totals(*summaries: Summary) -> Totals:
    made = Totals(PARTS["consumer"], planned=1_000)
    for each in summaries:
        made.add(each)
    return made


def test_equal_timelines_count_once() -> None:
    same, other = Summary(1, None, frozenset(), "0a"), Summary(3, None, frozenset(), "0b")
    lines = [*totals(same, same._replace(seed=2), other).report(60)]
    assert lines[:2] == ["consumer: 3 schedules, 3 a minute, 0 failed", "2 distinct timelines"]


def test_a_pair_that_any_seed_hit_is_hit() -> None:
    missed, hit = Summary(1, None, frozenset(), "0a"), Summary(2, None, frozenset({PAIR}), "0b")
    coverage, *not_hit = [*totals(missed, hit).report(60)][2:]
    assert coverage.startswith("fault x stage: 1 of ")
    assert "  not hit: KAFKA_DOWN while IDLE" not in not_hit
    assert "  not hit: KAFKA_DOWN while STORING" in not_hit


def test_progress_names_the_number_of_seeds_that_failed() -> None:
    made = totals(Summary(1, None, frozenset(), "0a"), Summary(2, "Violation: lost", frozenset(), "0b"))
    assert made.failed == [2]
    assert made.progress(30) == "consumer: 2 of 1,000 schedules, 4 a minute, 1 failed"
