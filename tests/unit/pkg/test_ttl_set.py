from service.pkg.ttl_set import TTLSet
from tests.kit.fakes import FakeClock


def test_a_key_expires() -> None:
    clock = FakeClock()
    keys = TTLSet(10, 2, clock)
    keys.add("key")
    clock.advance(1.75)
    assert "key" in keys
    clock.advance(0.25)
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
