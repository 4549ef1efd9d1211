"""Asks for an API key: the dependency of the routes that need one."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from service.handler.http.keys import Keys, Scope
from service.handler.http.problems import Problem

KEY_HEADER: Final = "X-API-Key"

_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_PLAIN: Final = APIKeyHeader(name=KEY_HEADER, auto_error=False, description="An API key.")
_CHALLENGE: Final = {"www-authenticate": "Bearer"}

KeyCheck = Callable[..., Awaitable[None]]


def _off() -> None:
    raise Problem(HTTPStatus.NOT_FOUND, "dead letters hold personal data: they are served only where API keys are on")


OFF: Final = (Depends(_off),)
"""Dependencies of what is not there without API keys."""


def required(keys: Keys | None, scope: Scope) -> Sequence[Any]:
    """Return a router's dependencies: a key with this scope, where there are keys at all."""
    return [] if keys is None else [Depends(_check(keys, scope))]


def _check(keys: Keys, scope: Scope) -> KeyCheck:
    async def check(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        plain: Annotated[str | None, Security(_PLAIN)],
    ) -> None:
        presented = bearer.credentials if bearer else plain
        if not presented:
            raise Problem(HTTPStatus.UNAUTHORIZED, "an API key is needed", headers=_CHALLENGE)
        scopes = keys.scopes(presented)
        if scopes is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "this API key is not known", headers=_CHALLENGE)
        if scope not in scopes:
            raise Problem(HTTPStatus.FORBIDDEN, f"this API key lacks the scope {scope}")

    return check
