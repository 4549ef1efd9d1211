"""`/livez`, `/readyz` and `/startupz` for Kubernetes. They answer from memory and never block."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.handler.http.problems import problem, request_id_of

Checks = Mapping[str, Callable[[], bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Named checks of each probe, true while healthy. `informational` ones are shown by `/readyz?verbose` only."""

    live: Checks
    ready: Checks
    started: Checks
    informational: Checks = field(default_factory=dict)


def routes(health: Health) -> list[Route]:
    """Return the three probes. Each answers 200, or 503 with the names of the failed checks."""
    return [
        _route("/livez", health.live, {}),
        _route("/readyz", health.ready, health.informational),
        _route("/startupz", health.started, {}),
    ]


def _route(path: str, checks: Checks, informational: Checks) -> Route:
    async def probe(request: Request) -> Response:
        states = _run(checks)
        members = {"parts": states | _run(informational)} if "verbose" in request.query_params else {}
        if all(states.values()):
            return JSONResponse({"status": "ok", **members}, headers={"cache-control": "no-store"})
        return _unhealthy([name for name, ok in states.items() if not ok], members, request_id_of(request))

    return Route(path, probe, methods=["GET"], include_in_schema=False)


def _run(checks: Checks) -> dict[str, bool]:
    return {name: check() for name, check in checks.items()}


def _unhealthy(failed: list[str], members: Mapping[str, object], request_id: str) -> Response:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"failed checks: {', '.join(failed)}",
        request_id,
        members=members,
    )
