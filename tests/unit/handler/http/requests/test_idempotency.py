"""A request that is repeated with the same idempotency key runs once."""

import asyncio

import pytest

from service.handler.http.requests.idempotency import Answer, IdempotentAnswers
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Runs:
    """A request that answers with the number of its runs so far."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> bytes:
        self.count += 1
        return b"%d" % self.count


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(clock: Clock) -> IdempotentAnswers:
    return IdempotentAnswers(max_answers=2, keep_seconds=60, now=clock)


def ask(answers: IdempotentAnswers, runs: Runs, key: str = "key", request: bytes = b"request") -> Answer:
    return asyncio.run(answers.answer(key, request, runs))


def test_a_repeated_request_gets_the_first_answer_and_does_not_run(answers: IdempotentAnswers) -> None:
    runs = Runs()
    assert [ask(answers, runs) for _ in range(3)] == [(b"1", False), (b"1", True), (b"1", True)]
    assert ask(answers, runs, key="other") == (b"2", False)


def test_a_key_of_another_request_is_refused(answers: IdempotentAnswers) -> None:
    ask(answers, Runs())
    with pytest.raises(Problem) as refused:
        ask(answers, Runs(), request=b"other")
    assert refused.value.kind is ProblemType.IDEMPOTENCY_KEY_REUSED


def test_a_repetition_of_a_running_request_is_refused(answers: IdempotentAnswers) -> None:
    async def repeat() -> bytes:
        with pytest.raises(Problem) as refused:
            await answers.answer("key", b"request", Runs())
        assert refused.value.kind is ProblemType.IDEMPOTENCY_KEY_IN_USE
        return b"first"

    assert asyncio.run(answers.answer("key", b"request", repeat)) == (b"first", False)


def test_a_failed_request_runs_again(answers: IdempotentAnswers) -> None:
    async def fail() -> bytes:
        raise Problem(ProblemType.KAFKA_UNAVAILABLE, "unreachable")

    with pytest.raises(Problem):
        asyncio.run(answers.answer("key", b"request", fail))
    assert ask(answers, Runs()) == (b"1", False)


def test_answers_are_forgotten_after_their_time(answers: IdempotentAnswers, clock: Clock) -> None:
    runs = Runs()
    ask(answers, runs)
    clock.now = 59.0
    assert ask(answers, runs).is_repeated
    clock.now = 60.0
    assert not ask(answers, runs).is_repeated


def test_beyond_the_limit_the_oldest_answer_is_forgotten(answers: IdempotentAnswers) -> None:
    runs = Runs()
    for key in ("first", "second", "third"):
        ask(answers, runs, key)
    assert ask(answers, runs, "second").is_repeated
    assert not ask(answers, runs, "first").is_repeated
