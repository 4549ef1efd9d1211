import asyncio

from service.pkg.refreshing_value import RefreshingValue
from tests.waiting import turns


class Source:
    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int | None:
        self.asked += 1
        await self.gate.wait()
        return self.asked


def test_callers_within_its_time_share_one_figure() -> None:
    async def play() -> None:
        source = Source()
        fresh = RefreshingValue(source, interval_seconds=60, timeout_seconds=10)
        assert await asyncio.gather(*(fresh.get() for _ in range(10))) == [1] * 10
        assert await fresh.get() == 1
        assert source.asked == 1

    asyncio.run(play())


def test_an_old_figure_is_asked_for_again() -> None:
    async def play() -> None:
        fresh = RefreshingValue(Source(), interval_seconds=0, timeout_seconds=10)
        assert [await fresh.get(), await fresh.get()] == [1, 2]

    asyncio.run(play())


def test_a_caller_waits_for_a_slow_value_no_longer_than_the_timeout() -> None:
    async def play() -> None:
        source = Source()
        source.gate.clear()
        fresh = RefreshingValue(source, interval_seconds=60, timeout_seconds=0.001)
        assert await fresh.get() is None
        assert await fresh.get() is None
        assert source.asked == 1
        source.gate.set()
        for _ in range(5):
            await turns()
        assert await fresh.get() == 1

    asyncio.run(play())
