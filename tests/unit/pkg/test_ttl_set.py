from service.pkg.ttl_set import TTLSet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_expires() -> None:
    clock = Clock()
    keys = TTLSet(10, 2, clock)
    keys.add("key")
    clock.now += 1.9
    assert "key" in keys
    clock.now += 0.1
    assert "key" not in keys


def test_the_oldest_key_is_evicted() -> None:
    keys = TTLSet(2, 60)
    for key in ("a", "b", "a", "c"):
        keys.add(key)
    assert [key in keys for key in "abc"] == [True, False, True]
    assert len(keys) == 2


def test_a_discarded_key_is_removed() -> None:
    keys = TTLSet(2, 60)
    keys.add("key")
    keys.discard("key")
    keys.discard("never there")
    assert "key" not in keys
