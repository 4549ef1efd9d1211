"""Which API keys the routes require, for FastAPI and for the OpenAPI document."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.handler.http.security.keys import KeyHolder, Keys, KeyScope

KEY_HEADER: Final = "X-API-Key"
SECURITY_SCHEMES: Final = {
    "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "APIKeyHeader": {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "An API key."},
}
"""The alternatives in which `_key_in` finds a key."""

_CHALLENGE: Final = {"www-authenticate": "Bearer"}

KeyCheck = Callable[..., Awaitable[None]]


class Access(NamedTuple):
    """What the routes of a router require."""

    dependencies: Sequence[Any]
    security: list[dict[str, list[str]]]
    """Alternative requirements, as OpenAPI describes them: the same whether or not keys are configured."""


PUBLIC: Final = Access([], [])


def access(keys: Keys | None, scope: KeyScope) -> Access:
    """Return the access with keys of this scope. If no keys are configured, anyone may read, and nothing else."""
    is_key_optional = scope is KeyScope.READ
    requirements: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
    if is_key_optional:
        requirements.append({})
    if keys is not None:
        return Access([Depends(_check(keys, scope))], requirements)
    return Access([] if is_key_optional else [Depends(_disabled)], requirements)


def _disabled() -> None:
    raise Problem(
        ProblemType.DEAD_LETTERS_DISABLED,
        "dead letters hold personal data: configure API keys to enable this endpoint",
    )


def key_holder_of(request: Request) -> KeyHolder:
    """Return the holder of the key that `access` has accepted."""
    holder: KeyHolder = request.state.key_holder
    return holder


def _check(keys: Keys, scope: KeyScope) -> KeyCheck:
    async def check(request: Request) -> None:
        key = _key_in(request.headers)
        if not key:
            raise Problem(ProblemType.MISSING_API_KEY, "missing API key", headers=_CHALLENGE)
        holder = keys.holder(key)
        if holder is None:
            raise Problem(ProblemType.UNKNOWN_API_KEY, "unknown API key", headers=_CHALLENGE)
        if scope not in holder.scopes:
            raise Problem(ProblemType.MISSING_SCOPE, f"the API key lacks the scope {scope}")
        request.state.key_holder = holder

    return check


def _key_in(headers: Headers) -> str | None:
    scheme, key = get_authorization_scheme_param(headers.get("authorization"))
    return key if key and scheme.lower() == "bearer" else headers.get(KEY_HEADER)
