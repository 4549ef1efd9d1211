from service.pkg.log_throttle import LogThrottle


def test_an_event_is_due_again_after_the_interval_and_another_one_at_once() -> None:
    now = [0.0]
    throttle = LogThrottle(30, now=lambda: now[0])
    assert throttle.is_due("a")
    assert not throttle.is_due("a")
    assert throttle.is_due("b")
    now[0] += 29.9
    assert not throttle.is_due("a")
    now[0] += 0.1
    assert throttle.is_due("a")
    assert not throttle.is_due("a")
