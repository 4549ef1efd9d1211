from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pkg.lru import ENTRY_OVERHEAD_BYTES, Lru

PLENTY = 2**30


def test_get_returns_the_object_that_was_put() -> None:
    lru, value = Lru(2, PLENTY), b"value"
    lru.put("key", value)
    assert lru.get("key") is value
    assert lru.get("other") is None


def test_the_least_recently_used_entry_goes_first() -> None:
    evicted: list[None] = []
    lru = Lru(2, PLENTY, lambda: evicted.append(None))
    lru.put("a", b"1")
    lru.put("b", b"2")
    lru.get("a")
    lru.put("c", b"3")
    assert (lru.get("a"), lru.get("b"), lru.get("c")) == (b"1", None, b"3")
    assert len(evicted) == 1


def test_bytes_are_bounded_with_the_overhead_of_each_entry() -> None:
    room_for_two = 2 * (ENTRY_OVERHEAD_BYTES + 1 + 100)
    lru = Lru(100, room_for_two)
    for key in "abc":
        lru.put(key, bytes(100))
    assert (len(lru), lru.size) == (2, room_for_two)
    assert lru.get("a") is None


def test_a_value_larger_than_the_cache_is_not_stored_and_evicts_nothing() -> None:
    lru = Lru(10, 1_000)
    lru.put("small", b"1")
    lru.put("large", bytes(1_000))
    assert (lru.get("large"), lru.get("small")) == (None, b"1")


def test_a_value_as_large_as_the_cache_is_stored() -> None:
    lru = Lru(10, ENTRY_OVERHEAD_BYTES + 2)
    lru.put("a", b"1")
    lru.put("b", b"2")
    assert (lru.get("a"), lru.get("b")) == (None, b"2")


def test_a_value_too_large_to_store_removes_the_previous_one() -> None:
    lru = Lru(10, 1_000)
    lru.put("key", b"old")
    lru.put("key", bytes(1_000))
    assert lru.get("key") is None
    assert lru.size == 0


def test_fill_evicts_nothing_and_adds_the_least_recently_used_entry() -> None:
    lru = Lru(2, PLENTY)
    lru.put("used", b"1")
    assert lru.fill("filled", b"2")
    assert not lru.fill("more", b"3")
    lru.put("new", b"4")
    assert (lru.get("used"), lru.get("filled"), lru.get("new")) == (b"1", None, b"4")


def test_fill_does_not_replace_a_value() -> None:
    lru = Lru(2, PLENTY)
    lru.put("key", b"newer")
    assert lru.fill("key", b"older")
    assert lru.get("key") == b"newer"


def test_fill_stops_at_the_bound_of_bytes() -> None:
    lru = Lru(100, ENTRY_OVERHEAD_BYTES + 2)
    assert lru.fill("a", b"1")
    assert not lru.fill("b", b"2")


def test_discarded_and_cleared_entries_free_their_bytes() -> None:
    lru = Lru(10, PLENTY)
    for key in "abc":
        lru.put(key, b"1")
    lru.discard("a")
    lru.discard("never there")
    assert len(lru) == 2
    lru.clear()
    assert (len(lru), lru.size, lru.get("b")) == (0, 0, None)


Step = st.tuples(st.sampled_from(("put", "fill", "get", "discard")), st.sampled_from("abcdef"), st.binary(max_size=300))


@given(st.lists(Step, max_size=60), st.integers(1, 4), st.integers(1, 2_000))
def test_no_sequence_of_calls_breaks_a_bound_or_the_size(
    steps: list[tuple[str, str, bytes]], max_entries: int, max_bytes: int
) -> None:
    lru = Lru(max_entries, max_bytes)
    for call, key, value in steps:
        getattr(lru, call)(*((key, value) if call in {"put", "fill"} else (key,)))
        assert len(lru) <= max_entries
        assert lru.size == sum(len(key) + len(value) + ENTRY_OVERHEAD_BYTES for key, value in lru._entries.items())
        assert lru.size <= max_bytes


@pytest.mark.parametrize("call", ["put", "fill", "discard", "get"])
def test_threads_do_not_break_the_size(call: str) -> None:
    lru = Lru(50, PLENTY)

    def work(thread: int) -> None:
        for number in range(2_000):
            key = str((number * 7 + thread) % 80)
            lru.put(key, bytes(number % 10))
            getattr(lru, call)(*((key, b"x") if call in {"put", "fill"} else (key,)))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(partial(work, thread)) for thread in range(4)]:
            done.result()
    assert len(lru) <= 50
    assert lru.size == sum(len(key) + len(value) + ENTRY_OVERHEAD_BYTES for key, value in lru._entries.items())
