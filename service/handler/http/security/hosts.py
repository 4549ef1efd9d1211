"""The Host header: its form, and the hosts that the API answers for."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import RequestRefused
from service.handler.http.responses.middleware import RawHeaders
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import problem_response

PROBES: Final = frozenset({"/livez", "/readyz", "/startupz"})
"""Load balancers and the kubelet request them at an IP address."""
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_ANY: Final = "*"


class AllowedHosts:
    """Host names without ports. `*.example.com` means all subdomains. Without names, all hosts are allowed."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        lowered = [name.lower() for name in names]
        self._allows_all = not names or _ANY in names
        self._names = frozenset(lowered)
        self._suffixes = tuple(name.removeprefix(_ANY) for name in lowered if name.startswith("*."))

    def allow(self, host: bytes) -> bool:
        """Return whether the value of a Host header is well-formed and allowed."""
        match = _HOST.fullmatch(host)
        if match is None or self._allows_all:
            return match is not None
        name = match[1].decode().lower().removesuffix(".")
        return name in self._names or name.endswith(self._suffixes)


class AllowedHostsMiddleware:
    """Refuses requests for other hosts, such as those of a web page whose name an attacker resolves to this server."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._hosts.allow(_host(scope["headers"])):
            await self._app(scope, receive, send)
            return
        detail = "the Host header is not in the list of allowed hosts"
        problem = problem_response(ProblemType.HOST_NOT_ALLOWED, detail, scope["state"]["request_id"])
        await problem(scope, receive, send)


def require_host(headers: RawHeaders, http_version: str) -> None:
    """Raise RequestRefused for a missing, repeated or malformed Host header (RFC 9112, section 3.2)."""
    hosts = [value for name, value in headers if name == b"host"]
    is_missing = not hosts and http_version == "1.1"
    if is_missing or len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
        raise RequestRefused(HTTPStatus.BAD_REQUEST)


def _host(headers: RawHeaders) -> bytes:
    return next((value for name, value in headers if name == b"host"), b"")
