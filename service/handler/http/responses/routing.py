"""Which methods a path has."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.routing import Match

METHODS: Final = ("GET", "HEAD", "POST")
"""Methods that routes may have. OPTIONS is answered for every route."""


def methods_of(scope: Mapping[str, Any]) -> list[str]:
    """Return the methods of all routes of the request's path: Starlette reports only the methods of the first route."""
    routes = scope["app"].routes
    scopes = {method: {**scope, "method": method} for method in METHODS}
    return [name for name, each in scopes.items() if any(route.matches(each)[0] is Match.FULL for route in routes)]
