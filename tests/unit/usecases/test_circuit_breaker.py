from service.usecases.circuit_breaker import BreakerState, CircuitBreaker
from tests.kit.policies import circuit_breaker_policy

GOOD, BAD = b"\0", b"\1"
POLICY = circuit_breaker_policy(ratio=0.5, window=10, max_consecutive=6, min_rejected=3)


def open_breaker() -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_messages(BAD * 6)
    return breaker


def test_good_messages_keep_it_closed() -> None:
    assert CircuitBreaker(POLICY).evaluate_messages(GOOD * 100) is None


def test_it_opens_when_more_than_half_of_the_window_is_bad() -> None:
    assert CircuitBreaker(POLICY).evaluate_messages((GOOD + BAD) * 50) is None
    assert CircuitBreaker(POLICY).evaluate_messages((GOOD + BAD) * 4 + BAD * 2) == "6 of the last 10 messages are bad"


def test_the_ratio_needs_a_full_window() -> None:
    assert CircuitBreaker(POLICY).evaluate_messages(BAD * 5) is None


def test_the_window_spans_batches() -> None:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_messages((GOOD + BAD) * 4) is None
    assert breaker.evaluate_messages(BAD) is None
    assert breaker.evaluate_messages(BAD) == "6 of the last 10 messages are bad"


def test_messages_that_left_the_window_do_not_count() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(10):
        assert breaker.evaluate_messages(BAD * 5 + GOOD * 10) is None


def test_good_batches_push_bad_messages_out_of_the_window() -> None:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_messages(BAD * 5) is None
    assert breaker.evaluate_messages(GOOD * 10) is None
    assert breaker.evaluate_messages(GOOD * 1_000) is None
    assert breaker.evaluate_messages(BAD * 5) is None


def test_consecutive_bad_messages_open_it_whatever_the_ratio() -> None:
    policy = circuit_breaker_policy(ratio=1, window=1_000, max_consecutive=6)
    assert CircuitBreaker(policy).evaluate_messages(BAD * 5 + GOOD + BAD * 5) is None
    assert CircuitBreaker(policy).evaluate_messages(GOOD * 900 + BAD * 6) == "6 consecutive messages are bad"


def test_consecutive_messages_are_counted_across_batches_until_a_good_one() -> None:
    policy = circuit_breaker_policy(ratio=1, window=1_000, max_consecutive=6)
    breaker = CircuitBreaker(policy)
    assert breaker.evaluate_messages(BAD * 3) is None
    assert breaker.evaluate_messages(b"") is None
    assert breaker.evaluate_messages(BAD * 2 + GOOD + BAD * 3) is None
    assert breaker.evaluate_messages(BAD * 3) == "6 consecutive messages are bad"


def test_it_stays_open_while_most_probed_messages_are_bad() -> None:
    breaker = open_breaker()
    assert breaker.evaluate_messages(BAD * 6 + GOOD * 4) is None
    assert breaker.is_open
    assert breaker.evaluate_messages(BAD * 1_000) is None
    assert breaker.is_open


def test_it_closes_when_most_probed_messages_are_good() -> None:
    breaker = open_breaker()
    assert breaker.evaluate_messages(BAD * 5 + GOOD * 5) is None
    assert not breaker.is_open


def test_closing_resets_the_counts() -> None:
    breaker = open_breaker()
    assert breaker.evaluate_messages(GOOD) is None
    assert breaker.evaluate_messages(BAD * 5) is None


def test_tombstones_alone_do_not_close_it() -> None:
    breaker = open_breaker()
    assert breaker.evaluate_messages(b"") is None
    assert breaker.is_open


# Orders that PostgreSQL rejects

STORED, REJECTED = b"\0", b"\1"


def rejecting() -> CircuitBreaker:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_orders(REJECTED * 3)
    assert breaker.state is BreakerState.OPEN_FOR_ALL_ORDERS
    return breaker


def test_it_opens_when_every_order_of_a_batch_is_rejected() -> None:
    problem = "the database rejected the last 3 orders and stored none between them"
    assert CircuitBreaker(POLICY).evaluate_orders(REJECTED * 3) == problem


def test_it_opens_when_every_order_of_several_small_batches_is_rejected() -> None:
    breaker = CircuitBreaker(POLICY)
    assert [breaker.evaluate_orders(REJECTED) for _ in range(2)] == [None, None]
    assert breaker.evaluate_orders(b"") is None  # a batch of redeliveries proves nothing
    assert breaker.evaluate_orders(REJECTED)
    assert breaker.state is BreakerState.OPEN_FOR_ALL_ORDERS


def test_one_stored_order_shows_that_the_rejected_ones_are_at_fault() -> None:
    breaker = CircuitBreaker(POLICY)
    for _ in range(3):
        assert breaker.evaluate_orders(REJECTED * 2) is None
        assert breaker.evaluate_orders(REJECTED + STORED * 5 + REJECTED * 2) is None
        assert breaker.evaluate_orders(STORED * 10) is None
    assert not breaker.is_open


def test_it_opens_when_more_than_the_ratio_of_the_window_is_rejected() -> None:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_orders((REJECTED + STORED) * 50) is None
    assert breaker.evaluate_orders(REJECTED * 2 + STORED) == "the database rejected more than 50% of the last 10 orders"


def test_one_stored_order_closes_it_if_none_was_stored_before() -> None:
    breaker = rejecting()
    assert breaker.evaluate_orders(REJECTED) == "the database stored 0 of the probed orders and rejected 1"
    assert breaker.evaluate_orders(b"") == "the database stored 0 of the probed orders and rejected 0"
    assert breaker.is_open
    assert breaker.evaluate_orders(REJECTED * 9 + STORED) is None
    assert not breaker.is_open


def test_it_closes_if_everything_was_tried_and_nothing_is_left_to_store() -> None:
    breaker = rejecting()
    assert breaker.evaluate_orders(REJECTED)
    assert breaker.evaluate_orders(b"", starts_over=True)
    assert breaker.evaluate_orders(REJECTED)
    assert breaker.evaluate_orders(b"", starts_over=True)
    assert breaker.evaluate_orders(b"")
    assert breaker.evaluate_orders(REJECTED, starts_over=True)
    assert breaker.evaluate_orders(b"", starts_over=True)
    assert breaker.is_open
    assert breaker.evaluate_orders(b"", starts_over=True) is None
    assert not breaker.is_open


def test_it_stays_open_if_any_probe_of_the_round_was_rejected() -> None:
    breaker = rejecting()
    assert breaker.evaluate_orders(REJECTED, starts_over=True)
    assert breaker.evaluate_orders(b"")
    assert breaker.evaluate_orders(b"", starts_over=True)
    assert breaker.evaluate_orders(b"", starts_over=True) is None


def test_it_closes_below_the_ratio_if_some_orders_were_stored_before() -> None:
    breaker = CircuitBreaker(POLICY)
    assert breaker.evaluate_orders((STORED + REJECTED * 2) * 4)
    assert breaker.state is BreakerState.OPEN_FOR_MOST_ORDERS
    assert breaker.evaluate_orders(REJECTED * 6 + STORED * 4) == (
        "the database stored 4 of the probed orders and rejected 6"
    )
    assert breaker.evaluate_orders(REJECTED * 5 + STORED * 5) is None
    assert not breaker.is_open


def test_closing_resets_the_count_of_rejected_orders() -> None:
    breaker = rejecting()
    assert breaker.evaluate_orders(STORED) is None
    assert breaker.evaluate_orders(REJECTED * 2) is None
    assert breaker.evaluate_orders(REJECTED)


def test_bad_messages_and_rejected_orders_are_counted_separately() -> None:
    breaker = open_breaker()
    states = []
    for outcome in (None, "the database rejected the last 4 orders and stored none between them"):
        states.append(breaker.state)
        assert breaker.evaluate_orders(REJECTED * 2) == outcome
    assert [*states, breaker.state] == [
        BreakerState.OPEN_FOR_MESSAGES,
        BreakerState.OPEN_FOR_MESSAGES,
        BreakerState.OPEN_FOR_ALL_ORDERS,
    ]


def test_it_never_opens_if_disabled() -> None:
    breaker = CircuitBreaker(circuit_breaker_policy(enabled=False, window=1, max_consecutive=1, min_rejected=1))
    assert breaker.evaluate_messages(BAD * 1_000) is None
    assert breaker.evaluate_orders(REJECTED * 1_000) is None
    assert not breaker.is_open
