"""A request that is repeated with the same idempotency key runs once."""

import asyncio

import pytest

from service.handler.http.requests.idempotency import IdempotentResponse, IdempotentResponses
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Runs:
    """A request whose response is the number of its runs so far."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> bytes:
        self.count += 1
        return b"%d" % self.count


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def responses(clock: Clock) -> IdempotentResponses:
    return IdempotentResponses(max_responses=2, ttl_seconds=60, now=clock)


def send(
    responses: IdempotentResponses, runs: Runs, key: str = "key", request: bytes = b"request"
) -> IdempotentResponse:
    return asyncio.run(responses.respond(key, request, runs))


def test_a_repeated_request_gets_the_first_response_and_does_not_run(responses: IdempotentResponses) -> None:
    runs = Runs()
    assert [send(responses, runs) for _ in range(3)] == [(b"1", False), (b"1", True), (b"1", True)]
    assert send(responses, runs, key="other") == (b"2", False)


def test_a_key_of_another_request_is_refused(responses: IdempotentResponses) -> None:
    send(responses, Runs())
    with pytest.raises(Problem) as refused:
        send(responses, Runs(), request=b"other")
    assert refused.value.kind is ProblemType.IDEMPOTENCY_KEY_REUSED


def test_a_repetition_of_a_running_request_is_refused(responses: IdempotentResponses) -> None:
    async def repeat() -> bytes:
        with pytest.raises(Problem) as refused:
            await responses.respond("key", b"request", Runs())
        assert refused.value.kind is ProblemType.IDEMPOTENCY_KEY_IN_USE
        return b"first"

    assert asyncio.run(responses.respond("key", b"request", repeat)) == (b"first", False)


def test_a_running_request_is_kept_although_others_follow(responses: IdempotentResponses) -> None:
    async def repeat() -> bytes:
        for other in ("other-1", "other-2", "other-3"):
            await responses.respond(other, b"request", Runs())
        with pytest.raises(Problem) as refused:
            await responses.respond("key", b"request", Runs())
        assert refused.value.kind is ProblemType.IDEMPOTENCY_KEY_IN_USE
        return b"first"

    assert asyncio.run(responses.respond("key", b"request", repeat)) == (b"first", False)
    assert send(responses, Runs()) == (b"first", True)


def test_a_request_that_fails_after_its_entry_expired_keeps_that_of_its_repetition(
    responses: IdempotentResponses, clock: Clock
) -> None:
    async def fail() -> bytes:
        clock.now = 60
        assert (await responses.respond("key", b"request", Runs())).body == b"1"
        raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(responses.respond("key", b"request", fail))
    assert send(responses, Runs()) == (b"1", True)


def test_a_failed_request_runs_again(responses: IdempotentResponses) -> None:
    async def fail() -> bytes:
        raise Problem(ProblemType.KAFKA_UNAVAILABLE, "unreachable")

    with pytest.raises(Problem):
        asyncio.run(responses.respond("key", b"request", fail))
    assert send(responses, Runs()) == (b"1", False)


def test_a_response_expires(responses: IdempotentResponses, clock: Clock) -> None:
    runs = Runs()
    send(responses, runs)
    clock.now = 59.0
    assert send(responses, runs).is_replayed
    clock.now = 60.0
    assert not send(responses, runs).is_replayed


def test_beyond_the_limit_the_oldest_response_is_forgotten(responses: IdempotentResponses) -> None:
    runs = Runs()
    for key in ("first", "second", "third"):
        send(responses, runs, key)
    assert send(responses, runs, "second").is_replayed
    assert not send(responses, runs, "first").is_replayed
