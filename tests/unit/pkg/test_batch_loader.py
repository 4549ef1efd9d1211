import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from service.pkg.batch_loader import BatchLoader
from tests.kit.waiting import one_iteration, until, until_idle

MAX_KEYS = 3

pytestmark = pytest.mark.anyio


class Source:
    """Maps each key to its upper case, and `?` to None. Each load waits for a permission."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.permissions = asyncio.Semaphore(0)
        self.error: BaseException | None = None
        self.loaded: list[str] = []

    def loader(self, max_concurrent: int = 1) -> BatchLoader[str, str | None]:
        return BatchLoader(self.load, self.on_loaded, max_concurrent=max_concurrent, max_keys=MAX_KEYS)

    async def load(self, keys: Sequence[str]) -> dict[str, str | None]:
        self.batches.append([*keys])
        await self.permissions.acquire()
        if self.error is not None:
            raise self.error
        return {key: None if key == "?" else key.upper() for key in keys}

    def on_loaded(self, key: str, value: str | None) -> None:
        assert value == (None if key == "?" else key.upper())
        self.loaded.append(key)


def loading(loader: BatchLoader[str, str | None], keys: str) -> list["asyncio.Task[str | None]"]:
    return [asyncio.create_task(loader.get(key)) for key in keys]


async def test_a_single_key_is_loaded_at_once() -> None:
    source = Source()
    source.permissions.release()
    assert await source.loader().get("a") == "A"
    assert source.batches == [["a"]]


async def test_a_key_that_is_not_being_loaded_may_be_detached() -> None:
    source = Source()
    loader = source.loader()
    loader.detach("a")
    source.permissions.release()
    assert await loader.get("a") == "A"
    assert source.loaded == ["a"]


async def test_keys_requested_meanwhile_are_loaded_together() -> None:
    source = Source()
    loader = source.loader()
    first = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    others = loading(loader, "b?c")
    source.permissions.release()
    assert await asyncio.gather(*first) == ["A"]
    source.permissions.release()
    assert await asyncio.gather(*others) == ["B", None, "C"]
    assert source.batches == [["a"], ["b", "?", "c"]]


async def test_batches_and_concurrency_are_bounded() -> None:
    source = Source()
    loader = source.loader(max_concurrent=2)
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    loads += loading(loader, "b")
    await until(lambda: source.batches == [["a"], ["b"]])
    loads += loading(loader, "cdefg")
    for _ in range(4):
        source.permissions.release()
    assert await asyncio.gather(*loads) == [*"ABCDEFG"]
    assert source.batches == [["a"], ["b"], ["c", "d", "e"], ["f", "g"]]


async def test_loads_that_have_ended_make_room_for_as_many_others() -> None:
    source = Source()
    loader = source.loader(max_concurrent=2)
    for _ in range(2):
        source.batches.clear()
        loads = loading(loader, "a")
        await until(lambda: source.batches == [["a"]])
        loads += loading(loader, "b")
        await until(lambda: source.batches == [["a"], ["b"]])
        loads += loading(loader, "c")
        await until_idle()
        assert source.batches == [["a"], ["b"]]
        for _ in range(3):
            source.permissions.release()
        assert await asyncio.gather(*loads) == [*"ABC"]


async def test_a_load_whose_first_caller_was_canceled_is_not_garbage_collected() -> None:
    answers: list[weakref.ref[asyncio.Future[dict[str, str]]]] = []

    async def load(_: Sequence[str]) -> dict[str, str]:
        answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        answers.append(weakref.ref(answer))
        return await answer

    loader = BatchLoader(load, lambda *_: None, max_concurrent=1, max_keys=1)
    first, second = asyncio.create_task(loader.get("a")), asyncio.create_task(loader.get("a"))
    await until_idle()
    first.cancel()
    del first
    await until_idle()
    gc.collect()
    answer = answers[0]()
    assert answer
    answer.set_result({"a": "A"})
    assert await second == "A"


async def test_a_key_requested_during_its_load_shares_it() -> None:
    source = Source()
    loader = source.loader()
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    loads += loading(loader, "aa")
    source.permissions.release()
    assert await asyncio.gather(*loads) == ["A", "A", "A"]
    assert source.batches == [["a"]]
    assert source.loaded == ["a"]


async def test_a_key_requested_after_its_load_is_loaded_again() -> None:
    source = Source()
    loader = source.loader()
    for _ in range(2):
        source.permissions.release()
        assert await loader.get("a") == "A"
    assert source.batches == [["a"], ["a"]]
    assert source.loaded == ["a", "a"]


@pytest.mark.parametrize("detach", [lambda loader: loader.detach("a"), BatchLoader.detach_all])
async def test_a_key_requested_after_a_detach_is_loaded_again(detach: Any) -> None:
    source = Source()
    loader = source.loader()
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    detach(loader)
    loads += loading(loader, "aa")
    for _ in range(2):
        source.permissions.release()
    assert await asyncio.gather(*loads) == ["A", "A", "A"]
    assert source.batches == [["a"], ["a"]]
    assert source.loaded == ["a"]


async def test_a_key_detached_before_its_load_started_is_in_the_batch_once() -> None:
    source = Source()
    loader = source.loader()
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    loads += loading(loader, "b")
    await one_iteration()
    loader.detach("b")
    loads += loading(loader, "b")
    for _ in range(2):
        source.permissions.release()
    assert await asyncio.gather(*loads) == ["A", "B", "B"]
    assert source.batches == [["a"], ["b"]]
    assert source.loaded == ["a", "b"]


async def test_an_error_is_raised_in_every_caller_and_later_keys_are_loaded() -> None:
    source = Source()
    loader = source.loader()
    source.error = ValueError("away")
    loads = loading(loader, "ab")
    source.permissions.release()
    for load in loads:
        with pytest.raises(ValueError, match="away"):
            await load
    source.error = None
    source.permissions.release()
    assert await loader.get("a") == "A"


async def test_a_canceled_caller_does_not_cancel_the_others() -> None:
    source = Source()
    loader = source.loader()
    leaving, staying = loading(loader, "aa")
    await until(lambda: source.batches == [["a"]])
    leaving.cancel()
    source.permissions.release()
    assert await staying == "A"


async def test_an_error_of_on_loaded_is_raised_in_every_caller_without_a_value_yet() -> None:
    source = Source()

    def fail_at_b(key: str, _value: str | None) -> None:
        if key == "b":
            raise ValueError(key)

    loader = BatchLoader(source.load, fail_at_b, max_concurrent=1, max_keys=MAX_KEYS)
    source.permissions.release()
    a, b, c = await asyncio.gather(*loading(loader, "abc"), return_exceptions=True)
    assert a == "A"
    assert isinstance(b, ValueError)
    assert isinstance(c, ValueError)
    source.permissions.release()
    assert await loader.get("c") == "C"
