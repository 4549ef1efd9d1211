"""Waiting for conditions."""

import asyncio
from itertools import count

import pytest

from tests.kit.waiting import eventually, one_iteration, throughout, until_idle


def test_the_first_true_result_is_returned() -> None:
    results = iter([0, None, 7])
    assert eventually(lambda: next(results)) == 7


def test_a_check_that_raises_is_retried() -> None:
    results = iter([ZeroDivisionError, None])

    def check() -> bool:
        error = next(results)
        if error:
            raise error
        return True

    assert eventually(check)


def test_a_timeout_names_the_condition_and_its_last_error() -> None:
    with pytest.raises(AssertionError, match=r"the answer: timed out after 0 s \(last: ZeroDivisionError") as failure:
        eventually(lambda: 1 // 0, within=0, what="the answer")
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_a_condition_must_be_true_throughout_the_time() -> None:
    checks = count(1)
    throughout(lambda: next(checks) > 0, 0.2)
    assert next(checks) > 2


@pytest.mark.parametrize(("results", "seconds"), [([True, False], 60), ([False], 0)])
def test_a_condition_that_ends_too_early_fails(results: list[bool], seconds: float) -> None:
    remaining = iter(results)
    with pytest.raises(AssertionError, match="the fault: no longer true"):
        throughout(lambda: next(remaining), seconds, "the fault")
    assert next(remaining, None) is None


def test_the_event_loop_is_idle_once_every_task_waits() -> None:
    steps: list[str] = []

    async def work(gate: asyncio.Event) -> None:
        for _ in range(50):
            await one_iteration()
        steps.append("waiting")
        await gate.wait()
        steps.append("done")

    async def play() -> None:
        gate = asyncio.Event()
        task = asyncio.create_task(work(gate))
        await until_idle()
        assert steps == ["waiting"]
        gate.set()
        await until_idle()
        assert steps == ["waiting", "done"]
        assert task.done()

    asyncio.run(play())


def test_an_event_loop_that_never_becomes_idle_is_an_error() -> None:
    async def work() -> None:
        while True:
            await one_iteration()

    async def play() -> None:
        task = asyncio.create_task(work())
        with pytest.raises(AssertionError, match="was not idle after"):
            await until_idle()
        task.cancel()

    asyncio.run(play())
