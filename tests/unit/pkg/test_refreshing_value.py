import asyncio

from service.pkg.refreshing_value import RefreshingValue
from tests.kit.waiting import until_idle


class Source:
    def __init__(self) -> None:
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int | None:
        self.loads += 1
        await self.gate.wait()
        return self.loads


def test_callers_within_the_interval_share_one_load() -> None:
    async def play() -> None:
        source = Source()
        value = RefreshingValue(source, interval_seconds=60, timeout_seconds=10)
        assert await asyncio.gather(*(value.get() for _ in range(10))) == [1] * 10
        assert await value.get() == 1
        assert source.loads == 1

    asyncio.run(play())


def test_an_expired_value_is_loaded_again() -> None:
    async def play() -> None:
        value = RefreshingValue(Source(), interval_seconds=0, timeout_seconds=10)
        assert await value.get() == 1
        await until_idle()
        assert await value.get() == 2

    asyncio.run(play())


def test_a_caller_waits_for_a_slow_value_no_longer_than_the_timeout() -> None:
    async def play() -> None:
        source = Source()
        source.gate.clear()
        value = RefreshingValue(source, interval_seconds=60, timeout_seconds=0.001)
        assert await value.get() is None
        assert await value.get() is None
        assert source.loads == 1
        source.gate.set()
        await until_idle()
        assert await value.get() == 1

    asyncio.run(play())
