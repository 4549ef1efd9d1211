"""Responds to a request that repeats an idempotency key with the first response, instead of running it again."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem

MAX_RESPONSES: Final = 1_000
RESPONSE_TTL_SECONDS: Final = 3_600.0


class IdempotentResponse(NamedTuple):
    body: bytes
    is_replayed: bool


@dataclass(slots=True)
class _Entry:
    request: bytes
    """Fingerprint of the request."""
    expires_at: float
    body: bytes | None = None
    """None while the request is running."""


class IdempotentResponses:
    """The responses to recent requests. Failed requests are forgotten. Belongs to one event loop."""

    def __init__(
        self,
        *,
        max_responses: int = MAX_RESPONSES,
        ttl_seconds: float = RESPONSE_TTL_SECONDS,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._max_responses = max_responses
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def respond(self, key: Hashable, request: bytes, run: Callable[[], Awaitable[bytes]]) -> IdempotentResponse:
        """Return the response to the first request with this key; `run` it if there is none.

        Raises Problem if that request is still running, or was another one.
        """
        self._drop_expired()
        if entry := self._entries.get(key):
            return IdempotentResponse(_known_body(entry, request), is_replayed=True)
        entry = self._entries[key] = _Entry(request, self._now() + self._ttl_seconds)
        self._drop_excess()
        try:
            entry.body = await run()
        except BaseException:
            if self._entries.get(key) is entry:
                del self._entries[key]
            raise
        return IdempotentResponse(entry.body, is_replayed=False)

    def _drop_expired(self) -> None:
        while self._entries and next(iter(self._entries.values())).expires_at <= self._now():
            self._entries.popitem(last=False)

    def _drop_excess(self) -> None:
        """Drop the oldest response. A running request is kept: a repetition of it would run at the same time."""
        if len(self._entries) > self._max_responses:
            oldest = next((key for key, entry in self._entries.items() if entry.body is not None), None)
            self._entries.pop(oldest, None)


def _known_body(entry: _Entry, request: bytes) -> bytes:
    if entry.request != request:
        raise Problem(ProblemType.IDEMPOTENCY_KEY_REUSED, "the Idempotency-Key was used for another request")
    if entry.body is None:
        raise Problem(ProblemType.IDEMPOTENCY_KEY_IN_USE, "a request with this Idempotency-Key is still running")
    return entry.body
