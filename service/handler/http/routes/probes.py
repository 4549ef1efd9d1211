"""`/livez`, `/readyz` and `/startupz` for Kubernetes. They answer from memory and never block."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.handler.http.openapi.document import Responses, errors, ok
from service.handler.http.openapi.router import HeadRouter
from service.handler.http.responses.json_response import struct_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import problem_response, request_id_of

Checks = Mapping[str, Callable[[], bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Named checks of each probe, true while healthy. `informational` ones are shown by `/readyz?verbose` only."""

    live: Checks
    ready: Checks
    started: Checks
    informational: Checks = field(default_factory=dict)


class ProbeStatus(Struct, frozen=True, omit_defaults=True):
    status: Literal["ok"]
    parts: Annotated[dict[str, bool] | UnsetType, Meta(description="With `verbose`: each check.")] = UNSET


class _Probe(NamedTuple):
    path: str
    name: str
    summary: str
    endpoint: Callable[[Request], Awaitable[Response]]


RESPONSES: Final[Responses] = {
    **ok("Healthy.", ProbeStatus("ok")),
    **errors(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
}
_VERBOSE: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "verbose",
            "in": "query",
            "required": False,
            "description": "Lists the checks; the value is ignored.",
            "schema": {"type": "string"},
        }
    ]
}


def routes(health: Health) -> list[Route]:
    """Return the three probes. Each answers 200, or 503 with the names of the failed checks."""
    return [Route(probe.path, probe.endpoint, methods=["GET"]) for probe in _probes(health)]


def router(health: Health) -> HeadRouter:
    """Return the same probes with their description."""
    documented = HeadRouter(tags=["probes"], default_response_class=Response, responses=RESPONSES)
    for path, name, summary, endpoint in _probes(health):
        documented.add_api_route(path, endpoint, methods=["GET"], name=name, summary=summary, openapi_extra=_VERBOSE)
    return documented


def _probes(health: Health) -> list[_Probe]:
    return [
        _Probe("/livez", "check_liveness", "Check that the process works", _endpoint(health.live, {})),
        _Probe(
            "/readyz",
            "check_readiness",
            "Check that the API can serve",
            _endpoint(health.ready, health.informational),
        ),
        _Probe("/startupz", "check_startup", "Check that the warm-up is over", _endpoint(health.started, {})),
    ]


def _endpoint(checks: Checks, informational: Checks) -> Callable[[Request], Awaitable[Response]]:
    async def probe(request: Request) -> Response:
        states = _run(checks)
        parts = states | _run(informational) if "verbose" in request.query_params else UNSET
        if all(states.values()):
            return struct_response(ProbeStatus("ok", parts))
        failed = ", ".join(name for name, is_healthy in states.items() if not is_healthy)
        return problem_response(ProblemType.NOT_READY, f"failed checks: {failed}", request_id_of(request), parts=parts)

    return probe


def _run(checks: Checks) -> dict[str, bool]:
    return {name: check() for name, check in checks.items()}
