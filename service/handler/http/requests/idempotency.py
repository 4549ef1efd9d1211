"""Answers a request again that a client repeats with the same idempotency key, instead of running it twice."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem

MAX_ANSWERS: Final = 1_000
KEEP_SECONDS: Final = 3_600.0


class Answer(NamedTuple):
    body: bytes
    is_repeated: bool


@dataclass(slots=True)
class _Entry:
    request: bytes
    """Fingerprint of the request."""
    expires_at: float
    body: bytes | None = None
    """None while the request is running."""


class IdempotentAnswers:
    """The answers of recent requests. Failed requests are forgotten. For one event loop."""

    def __init__(
        self,
        *,
        max_answers: int = MAX_ANSWERS,
        keep_seconds: float = KEEP_SECONDS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._max_answers = max_answers
        self._keep_seconds = keep_seconds
        self._now = now
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def answer(self, key: Hashable, request: bytes, run: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return the answer of the first request with this key; `run` it if there is none.

        Raises Problem if that request is still running, or was another one.
        """
        self._drop_expired()
        if known := self._entries.get(key):
            return Answer(_known_answer(known, request), is_repeated=True)
        entry = self._entries[key] = _Entry(request, self._now() + self._keep_seconds)
        if len(self._entries) > self._max_answers:
            self._entries.popitem(last=False)
        try:
            entry.body = await run()
        except BaseException:
            self._entries.pop(key, None)
            raise
        return Answer(entry.body, is_repeated=False)

    def _drop_expired(self) -> None:
        while self._entries and next(iter(self._entries.values())).expires_at <= self._now():
            self._entries.popitem(last=False)


def _known_answer(entry: _Entry, request: bytes) -> bytes:
    if entry.request != request:
        raise Problem(ProblemType.IDEMPOTENCY_KEY_REUSED, "the Idempotency-Key was used for another request")
    if entry.body is None:
        raise Problem(ProblemType.IDEMPOTENCY_KEY_IN_USE, "a request with this Idempotency-Key is still running")
    return entry.body
