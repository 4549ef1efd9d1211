"""Questions asked together: who is answered with what, when, and what happens when no answer comes."""

import asyncio
from collections.abc import Sequence

import pytest

from service.pkg.batch_loader import BatchLoader
from tests.waiting import until

MOST = 3

pytestmark = pytest.mark.anyio


class Oracle:
    """Answers `letter` with `LETTER`, and nothing to `?`; each question waits for its permission."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.permissions = asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def __call__(self, keys: Sequence[str]) -> dict[str, str]:
        self.asked.append([*keys])
        await self.permissions.acquire()
        if self.error is not None:
            raise self.error
        return {key: key.upper() for key in keys if key != "?"}


def asking(gathered: BatchLoader[str, str], keys: str) -> list["asyncio.Task[str | None]"]:
    return [asyncio.create_task(gathered.get(key)) for key in keys]


async def test_a_lone_question_is_asked_at_once() -> None:
    oracle = Oracle()
    oracle.permissions.release()
    assert await BatchLoader(oracle, max_concurrent=1, max_keys=MOST).get("a") == "A"
    assert oracle.asked == [["a"]]


async def test_what_comes_meanwhile_is_asked_together_and_each_gets_its_own_answer() -> None:
    oracle = Oracle()
    gathered = BatchLoader(oracle, max_concurrent=1, max_keys=MOST)
    first = asking(gathered, "a")
    await until(lambda: oracle.asked == [["a"]])
    others = asking(gathered, "b?c")
    oracle.permissions.release()
    assert await asyncio.gather(*first) == ["A"]
    oracle.permissions.release()
    assert await asyncio.gather(*others) == ["B", None, "C"]
    assert oracle.asked == [["a"], ["b", "?", "c"]]


async def test_no_more_are_asked_together_or_at_once_than_is_allowed() -> None:
    oracle = Oracle()
    gathered = BatchLoader(oracle, max_concurrent=2, max_keys=MOST)
    questions = asking(gathered, "a")
    await until(lambda: oracle.asked == [["a"]])
    questions += asking(gathered, "b")
    await until(lambda: oracle.asked == [["a"], ["b"]])
    questions += asking(gathered, "cdefg")
    for _ in range(4):
        oracle.permissions.release()
    assert await asyncio.gather(*questions) == [*"ABCDEFG"]
    assert oracle.asked == [["a"], ["b"], ["c", "d", "e"], ["f", "g"]]


async def test_who_asks_again_while_it_is_answered_gets_a_newer_answer() -> None:
    oracle = Oracle()
    gathered = BatchLoader(oracle, max_concurrent=1, max_keys=MOST)
    questions = asking(gathered, "a")
    await until(lambda: oracle.asked == [["a"]])
    questions += asking(gathered, "aa")
    for _ in range(2):
        oracle.permissions.release()
    assert await asyncio.gather(*questions) == ["A", "A", "A"]
    assert oracle.asked == [["a"], ["a"]]


async def test_an_error_is_everybodys_and_the_next_ones_are_asked_all_the_same() -> None:
    oracle = Oracle()
    gathered = BatchLoader(oracle, max_concurrent=1, max_keys=MOST)
    oracle.error = ValueError("away")
    questions = asking(gathered, "ab")
    oracle.permissions.release()
    for question in questions:
        with pytest.raises(ValueError, match="away"):
            await question
    oracle.error = None
    oracle.permissions.release()
    assert await gathered.get("a") == "A"


async def test_one_who_goes_away_ends_it_for_nobody_else() -> None:
    oracle = Oracle()
    gathered = BatchLoader(oracle, max_concurrent=1, max_keys=MOST)
    leaving, staying = asking(gathered, "aa")
    await until(lambda: oracle.asked == [["a"]])
    leaving.cancel()
    oracle.permissions.release()
    assert await staying == "A"
