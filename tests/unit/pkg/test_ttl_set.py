from service.pkg.ttl_set import TTLSet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_remembered_until_its_time_is_over() -> None:
    clock = Clock()
    recent = TTLSet(10, 2, clock)
    recent.add("key")
    clock.now += 1.9
    assert "key" in recent
    clock.now += 0.1
    assert "key" not in recent


def test_the_oldest_key_goes_when_there_are_too_many() -> None:
    recent = TTLSet(2, 60)
    for key in ("a", "b", "a", "c"):
        recent.add(key)
    assert [key in recent for key in "abc"] == [True, False, True]
    assert len(recent) == 2


def test_a_discarded_key_is_forgotten() -> None:
    recent = TTLSet(2, 60)
    recent.add("key")
    recent.discard("key")
    recent.discard("never there")
    assert "key" not in recent
