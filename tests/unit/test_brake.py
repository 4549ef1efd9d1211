"""When a flood of bad messages stops the consumer, and when it lets go again."""

import pytest

from service.usecases.brake import Brake, BrakePolicy

GOOD, BAD = b"\0", b"\1"
POLICY = BrakePolicy(ratio=0.5, window=10, in_a_row=6, refused_at_least=3)


def engaged() -> Brake:
    brake = Brake(POLICY)
    assert brake.judge(BAD * 6)
    return brake


def test_good_messages_pass() -> None:
    assert Brake(POLICY).judge(GOOD * 100) is None


def test_half_of_the_window_may_be_bad_and_no_more() -> None:
    assert Brake(POLICY).judge((GOOD + BAD) * 50) is None
    assert Brake(POLICY).judge((GOOD + BAD) * 4 + BAD * 2) == "6 of the last 10 messages are bad"


def test_the_share_is_that_of_a_whole_window() -> None:
    assert Brake(POLICY).judge(BAD * 5) is None


def test_the_window_spans_batches() -> None:
    brake = Brake(POLICY)
    assert brake.judge((GOOD + BAD) * 4) is None
    assert brake.judge(BAD) is None
    assert brake.judge(BAD) == "6 of the last 10 messages are bad"


def test_what_has_left_the_window_does_not_count() -> None:
    brake = Brake(POLICY)
    for _ in range(10):
        assert brake.judge(BAD * 5 + GOOD * 10) is None


def test_good_batches_between_push_bad_ones_out_of_the_window() -> None:
    brake = Brake(POLICY)
    assert brake.judge(BAD * 5) is None
    assert brake.judge(GOOD * 10) is None
    assert brake.judge(GOOD * 1_000) is None
    assert brake.judge(BAD * 5) is None


def test_so_many_in_a_row_engage_it_whatever_the_share() -> None:
    policy = BrakePolicy(ratio=1, window=1_000, in_a_row=6)
    assert Brake(policy).judge(BAD * 5 + GOOD + BAD * 5) is None
    assert Brake(policy).judge(GOOD * 900 + BAD * 6) == "6 bad messages in a row"


def test_a_row_goes_on_across_batches_and_ends_with_a_good_one() -> None:
    policy = BrakePolicy(ratio=1, window=1_000, in_a_row=6)
    brake = Brake(policy)
    assert brake.judge(BAD * 3) is None
    assert brake.judge(b"") is None
    assert brake.judge(BAD * 2 + GOOD + BAD * 3) is None
    assert brake.judge(BAD * 3) == "6 bad messages in a row"


def test_what_is_tried_passes_and_it_stays_on_while_most_of_that_is_bad() -> None:
    brake = engaged()
    assert brake.judge(BAD * 6 + GOOD * 4) is None
    assert brake.engaged
    assert brake.judge(BAD * 1_000) is None
    assert brake.engaged


def test_it_lets_go_when_what_is_tried_is_mostly_good() -> None:
    brake = engaged()
    assert brake.judge(BAD * 5 + GOOD * 5) is None
    assert not brake.engaged


def test_it_counts_anew_after_it_let_go() -> None:
    brake = engaged()
    assert brake.judge(GOOD) is None
    assert brake.judge(BAD * 5) is None


def test_tombstones_alone_do_not_release_it() -> None:
    brake = engaged()
    assert brake.judge(b"") is None
    assert brake.engaged


def test_it_engages_when_every_order_of_a_batch_is_refused() -> None:
    brake = Brake(POLICY)
    assert brake.judge_refused(3, 3) == "PostgreSQL refused all 3 orders of a batch"
    assert brake.engaged


@pytest.mark.parametrize(("refused", "orders"), [(0, 0), (2, 2), (2, 3), (999, 1_000)])
def test_it_stays_off_when_one_order_was_stored_or_there_are_too_few_to_tell(refused: int, orders: int) -> None:
    brake = Brake(POLICY)
    assert brake.judge_refused(refused, orders) is None
    assert not brake.engaged


def test_once_on_for_refusals_a_single_refused_order_keeps_it_on() -> None:
    brake = Brake(POLICY)
    assert brake.judge_refused(3, 3)
    assert brake.judge_refused(1, 1) == "PostgreSQL refused all 1 orders of a batch"
    assert brake.judge_refused(1, 2) is None
    assert brake.judge(GOOD * 2) is None
    assert not brake.engaged


def test_once_on_for_a_flood_a_single_refused_order_is_let_through_with_it() -> None:
    assert engaged().judge_refused(1, 1) is None


def test_disabled_it_lets_everything_through() -> None:
    brake = Brake(BrakePolicy(enabled=False, window=1, in_a_row=1, refused_at_least=1))
    assert brake.judge(BAD * 1_000) is None
    assert brake.judge_refused(1_000, 1_000) is None
    assert not brake.engaged
