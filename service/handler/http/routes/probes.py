"""`/livez /readyz /startupz`: what Kubernetes asks, answered from memory; none of them waits for anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.handler.http.problems import problem, request_id_of

Checks = Mapping[str, Callable[[], bool]]


@dataclass(frozen=True, slots=True)
class Health:
    """Named parts, each true while it is well. All parts of a probe decide about it; `told` are only told."""

    live: Checks
    ready: Checks
    started: Checks
    told: Checks = field(default_factory=dict)


def routes(health: Health) -> list[Route]:
    """Return the three probes; each answers 200, or 503 with the names of the parts that are not well."""
    return [
        _route("/livez", health.live, {}),
        _route("/readyz", health.ready, health.told),
        _route("/startupz", health.started, {}),
    ]


def _route(path: str, deciding: Checks, told: Checks) -> Route:
    async def probe(request: Request) -> Response:
        states = _states(deciding)
        more = {"parts": states | _states(told)} if "verbose" in request.query_params else {}
        if all(states.values()):
            return JSONResponse({"status": "ok", **more}, headers={"cache-control": "no-store"})
        return _unwell([name for name, well in states.items() if not well], more, request_id_of(request))

    return Route(path, probe, methods=["GET"], include_in_schema=False)


def _states(parts: Checks) -> dict[str, bool]:
    return {name: part() for name, part in parts.items()}


def _unwell(names: list[str], more: Mapping[str, object], request_id: str) -> Response:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"not yet or no longer well: {', '.join(names)}",
        request_id,
        more=more,
    )
