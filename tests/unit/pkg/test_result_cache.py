"""Callers share the result of one call."""

import asyncio
import gc

from service.pkg.result_cache import ResultCache
from tests.kit.waiting import until_idle


class Source:
    """Numbers its results. While `gate` is closed, no call returns."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, key: str) -> str:
        self.keys.append(key)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"{key}{len(self.keys)}"


def test_concurrent_and_later_callers_share_one_load_for_each_key() -> None:
    async def play() -> None:
        source = Source()
        cache = ResultCache(source, ttl_seconds=60)
        assert await asyncio.gather(*map(cache.get, "aab")) == ["a1", "a1", "b2"]
        assert await cache.get("a") == "a1"
        assert source.keys == ["a", "b"]

    asyncio.run(play())


def test_an_expired_result_is_loaded_again() -> None:
    async def play() -> None:
        cache = ResultCache(Source(), ttl_seconds=0)
        assert await cache.get("a") == "a1"
        await until_idle()
        assert await cache.get("a") == "a2"

    asyncio.run(play())


def test_an_error_reaches_all_callers_and_is_not_cached() -> None:
    async def play() -> None:
        source = Source()
        cache = ResultCache(source, ttl_seconds=60)
        source.error = ValueError("failed")
        results = await asyncio.gather(cache.get("a"), cache.get("a"), return_exceptions=True)
        assert [*results] == [source.error, source.error]
        source.error = None
        assert await cache.get("a") == "a2"

    asyncio.run(play())


def test_a_canceled_caller_does_not_cancel_the_load_for_others() -> None:
    async def play() -> None:
        source = Source()
        source.gate.clear()
        cache = ResultCache(source, ttl_seconds=60)
        first, second = asyncio.create_task(cache.get("a")), asyncio.create_task(cache.get("a"))
        await until_idle()
        first.cancel()
        source.gate.set()
        assert await second == "a1"
        assert first.cancelled()

    asyncio.run(play())


def test_an_error_that_no_caller_awaits_anymore_is_not_logged() -> None:
    async def play() -> None:
        problems: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["message"]))
        source = Source()
        source.gate.clear()
        source.error = ValueError("failed")
        caller = asyncio.create_task(ResultCache(source, ttl_seconds=60).get("a"))
        await until_idle()
        caller.cancel()
        await until_idle()
        assert caller.cancelled()
        del caller  # its traceback refers to the task of the call, which logs the error when it is destroyed
        source.gate.set()
        await until_idle()
        gc.collect()
        assert problems == []

    asyncio.run(play())
