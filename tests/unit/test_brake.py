"""When a flood of bad messages stops the consumer, and when it lets go again."""

from service.usecases.brake import Brake, CircuitBreakerPolicy, State

GOOD, BAD = b"\0", b"\1"
POLICY = CircuitBreakerPolicy(ratio=0.5, window=10, in_a_row=6, refused_at_least=3)


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
    policy = CircuitBreakerPolicy(ratio=1, window=1_000, in_a_row=6)
    assert Brake(policy).judge(BAD * 5 + GOOD + BAD * 5) is None
    assert Brake(policy).judge(GOOD * 900 + BAD * 6) == "6 bad messages in a row"


def test_a_row_goes_on_across_batches_and_ends_with_a_good_one() -> None:
    policy = CircuitBreakerPolicy(ratio=1, window=1_000, in_a_row=6)
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


# Orders that PostgreSQL refuses

STORED, REFUSED = b"\0", b"\1"


def refusing() -> Brake:
    brake = Brake(POLICY)
    assert brake.judge_orders(REFUSED * 3)
    assert brake.state is State.REFUSING
    return brake


def test_it_engages_when_every_order_of_a_batch_is_refused() -> None:
    problem = "PostgreSQL refused the last 3 orders, and stored none between them"
    assert Brake(POLICY).judge_orders(REFUSED * 3) == problem


def test_it_engages_when_every_order_of_several_small_batches_is_refused() -> None:
    brake = Brake(POLICY)
    assert [brake.judge_orders(REFUSED) for _ in range(2)] == [None, None]
    assert brake.judge_orders(b"") is None  # a batch of redeliveries proves nothing
    assert brake.judge_orders(REFUSED)
    assert brake.state is State.REFUSING


def test_a_batch_in_which_an_order_is_stored_shows_that_the_others_are_to_blame() -> None:
    brake = Brake(POLICY)
    for _ in range(3):
        assert brake.judge_orders(REFUSED * 2) is None
        assert brake.judge_orders(REFUSED + STORED * 5 + REFUSED * 2) is None
        assert brake.judge_orders(STORED * 10) is None
    assert not brake.engaged


def test_more_than_the_share_of_the_window_is_refused() -> None:
    brake = Brake(POLICY)
    assert brake.judge_orders((REFUSED + STORED) * 50) is None
    assert brake.judge_orders(REFUSED * 2 + STORED) == "PostgreSQL refused more than 50% of the last 10 orders"


def test_one_stored_order_releases_it_where_none_was_stored_before() -> None:
    brake = refusing()
    assert brake.judge_orders(REFUSED) == "PostgreSQL stored 0 of the orders that were tried, and refused 1"
    assert brake.judge_orders(b"") == "PostgreSQL stored 0 of the orders that were tried, and refused 0"
    assert brake.engaged
    assert brake.judge_orders(REFUSED * 9 + STORED) is None
    assert not brake.engaged


def test_where_some_were_stored_before_no_more_than_the_share_may_be_refused() -> None:
    brake = Brake(POLICY)
    assert brake.judge_orders((STORED + REFUSED * 2) * 4)
    assert brake.judge_orders(REFUSED * 6 + STORED * 4) == (
        "PostgreSQL stored 4 of the orders that were tried, and refused 6"
    )
    assert brake.judge_orders(REFUSED * 5 + STORED * 5) is None
    assert not brake.engaged


def test_refused_orders_are_counted_anew_after_it_let_go() -> None:
    brake = refusing()
    assert brake.judge_orders(STORED) is None
    assert brake.judge_orders(REFUSED * 2) is None
    assert brake.judge_orders(REFUSED)


def test_a_flood_of_bad_messages_and_refused_orders_are_told_apart() -> None:
    brake = engaged()
    states = []
    for outcome in (None, "PostgreSQL refused the last 4 orders, and stored none between them"):
        states.append(brake.state)
        assert brake.judge_orders(REFUSED * 2) == outcome
    assert [*states, brake.state] == [State.FLOODED, State.FLOODED, State.REFUSING]


def test_disabled_it_lets_everything_through() -> None:
    brake = Brake(CircuitBreakerPolicy(enabled=False, window=1, in_a_row=1, refused_at_least=1))
    assert brake.judge(BAD * 1_000) is None
    assert brake.judge_orders(REFUSED * 1_000) is None
    assert not brake.engaged
