import asyncio
from collections.abc import Sequence

import pytest

from service.pkg.batch_loader import BatchLoader
from tests.waiting import until

MAX_KEYS = 3

pytestmark = pytest.mark.anyio


class Source:
    """Maps each key to its upper case, and `?` to nothing. Each load waits for a permission."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.permissions = asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def __call__(self, keys: Sequence[str]) -> dict[str, str]:
        self.batches.append([*keys])
        await self.permissions.acquire()
        if self.error is not None:
            raise self.error
        return {key: key.upper() for key in keys if key != "?"}


def loading(loader: BatchLoader[str, str], keys: str) -> list["asyncio.Task[str | None]"]:
    return [asyncio.create_task(loader.get(key)) for key in keys]


async def test_a_single_key_is_loaded_at_once() -> None:
    source = Source()
    source.permissions.release()
    assert await BatchLoader(source, max_concurrent=1, max_keys=MAX_KEYS).get("a") == "A"
    assert source.batches == [["a"]]


async def test_keys_requested_meanwhile_are_loaded_together() -> None:
    source = Source()
    loader = BatchLoader(source, max_concurrent=1, max_keys=MAX_KEYS)
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
    loader = BatchLoader(source, max_concurrent=2, max_keys=MAX_KEYS)
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    loads += loading(loader, "b")
    await until(lambda: source.batches == [["a"], ["b"]])
    loads += loading(loader, "cdefg")
    for _ in range(4):
        source.permissions.release()
    assert await asyncio.gather(*loads) == [*"ABCDEFG"]
    assert source.batches == [["a"], ["b"], ["c", "d", "e"], ["f", "g"]]


async def test_a_key_requested_during_its_load_is_loaded_again() -> None:
    source = Source()
    loader = BatchLoader(source, max_concurrent=1, max_keys=MAX_KEYS)
    loads = loading(loader, "a")
    await until(lambda: source.batches == [["a"]])
    loads += loading(loader, "aa")
    for _ in range(2):
        source.permissions.release()
    assert await asyncio.gather(*loads) == ["A", "A", "A"]
    assert source.batches == [["a"], ["a"]]


async def test_an_error_is_raised_in_every_caller_and_later_keys_are_loaded() -> None:
    source = Source()
    loader = BatchLoader(source, max_concurrent=1, max_keys=MAX_KEYS)
    source.error = ValueError("away")
    loads = loading(loader, "ab")
    source.permissions.release()
    for load in loads:
        with pytest.raises(ValueError, match="away"):
            await load
    source.error = None
    source.permissions.release()
    assert await loader.get("a") == "A"


async def test_a_cancelled_caller_does_not_cancel_the_others() -> None:
    source = Source()
    loader = BatchLoader(source, max_concurrent=1, max_keys=MAX_KEYS)
    leaving, staying = loading(loader, "aa")
    await until(lambda: source.batches == [["a"]])
    leaving.cancel()
    source.permissions.release()
    assert await staying == "A"
