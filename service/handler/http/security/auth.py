"""FastAPI dependencies that require an API key."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.handler.http.security.keys import KeyHolder, Keys, KeyScope

KEY_HEADER: Final = "X-API-Key"

_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_API_KEY: Final = APIKeyHeader(name=KEY_HEADER, auto_error=False, description="An API key.")
_CHALLENGE: Final = {"www-authenticate": "Bearer"}

KeyCheck = Callable[..., Awaitable[None]]


def _disabled() -> None:
    raise Problem(
        ProblemType.DEAD_LETTERS_DISABLED,
        "dead letters hold personal data: configure API keys to enable this endpoint",
    )


DISABLED: Final = (Depends(_disabled),)
"""Dependencies of endpoints that do not exist without API keys."""


def require_key(keys: Keys | None, scope: KeyScope) -> Sequence[Any]:
    """Return a router's dependencies: a key with this scope, or nothing if no keys are configured."""
    return [] if keys is None else [Depends(_check(keys, scope))]


def key_holder_of(request: Request) -> KeyHolder:
    """Return the holder of the key that `require_key` has accepted."""
    holder: KeyHolder = request.state.key_holder
    return holder


def _check(keys: Keys, scope: KeyScope) -> KeyCheck:
    async def check(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        api_key: Annotated[str | None, Security(_API_KEY)],
    ) -> None:
        key = bearer.credentials if bearer else api_key
        if not key:
            raise Problem(ProblemType.MISSING_API_KEY, "missing API key", headers=_CHALLENGE)
        holder = keys.holder(key)
        if holder is None:
            raise Problem(ProblemType.UNKNOWN_API_KEY, "unknown API key", headers=_CHALLENGE)
        if scope not in holder.scopes:
            raise Problem(ProblemType.MISSING_SCOPE, f"the API key lacks the scope {scope}")
        request.state.key_holder = holder

    return check
