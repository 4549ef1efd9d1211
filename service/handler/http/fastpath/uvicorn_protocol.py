"""Every undocumented member of uvicorn that the server depends on, behind public names.

uvicorn has no public API for connections. pyproject.toml therefore pins its minor version, and
tests/unit/handler/http/fastpath/test_uvicorn_protocol.py fails if a member listed here is missing.
"""

from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["HttpToolsProtocol", "RequestResponseCycle", "UvicornProtocol"]

ASYNCIO_CALLBACKS: Final = ("connection_lost", "connection_made", "data_received", "pause_writing", "resume_writing")
HTTPTOOLS_CALLBACKS: Final = ("on_header", "on_headers_complete", "on_message_begin", "on_message_complete", "on_url")
"""These are overridden. Their names and arguments are public: asyncio and httptools define them."""
METHODS: Final = (
    "_start_asgi_task",
    "_unset_keepalive_if_required",
    "on_response_complete",
    "timeout_keep_alive_handler",
)
"""Other methods of HttpToolsProtocol that are called or overridden."""
ATTRIBUTES: Final = (
    "connections",
    "cycle",
    "flow",
    "headers",
    "loop",
    "parser",
    "pipeline",
    "server_state",
    "tasks",
    "timeout_keep_alive",
    "timeout_keep_alive_task",
    "transport",
)
"""Attributes of a new HttpToolsProtocol."""
REQUEST_ATTRIBUTES: Final = ("url",)
"""Attributes that on_message_begin sets."""
CYCLE_ATTRIBUTES: Final = ("keep_alive", "response_complete")
FLOW_ATTRIBUTES: Final = ("pause_reading", "resume_reading")


class UvicornProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection with public names. Adds no behavior."""

    @property
    def connection_count(self) -> int:
        """Open connections of the server, this one included."""
        return len(self.connections)

    @property
    def running_requests(self) -> int:
        """Requests of all connections that the application is working on."""
        return len(self.tasks)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that uvicorn adds to every response; a new list whenever they change."""
        return self.server_state.default_headers

    @property
    def request_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the current request, with names in lower case."""
        return self.headers

    @property
    def http_version(self) -> str:
        """The version of the current request, such as `1.1`."""
        return str(self.parser.get_http_version())

    def feed_parser(self, data: bytes) -> None:
        """Parse. Raises httptools.HttpParserError, or httptools.HttpParserUpgrade for Upgrade and CONNECT."""
        self.parser.feed_data(data)

    def is_upgrade_offered(self) -> bool:
        """Return whether the current request, whose head is complete, offers another protocol. False for CONNECT."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def head_without(self, header: bytes) -> bytes:
        """Return the head of the current request without a header, whose name is in lower case."""
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return line + b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != header) + b"\r\n"

    def replace_parser(self) -> None:
        """Replace the parser with a new one, configured as uvicorn does.

        The old one ignores all that follows `Connection: close`.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    # Responses

    def has_answered_all(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def close_after_response(self) -> None:
        """Close the connection when the current request, which must be unanswered, is answered."""
        self.cycle.keep_alive = False

    # Flow control

    def pause_reading(self) -> None:
        self.flow.pause_reading()

    def resume_reading(self) -> None:
        self.flow.resume_reading()

    # Pipelined requests: parsed, and waiting for the responses before theirs

    @property
    def pipelined_requests(self) -> int:
        return len(self.pipeline)

    def defer_request(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Make this the next pipelined request to start."""
        self.pipeline.append((cycle, app))

    def start_pipelined_request(self) -> None:
        self._start_asgi_task(*self.pipeline.pop())

    def drop_pipelined_requests(self) -> None:
        self.pipeline.clear()

    def start_application(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start a task in which `app` answers the request."""
        super()._start_asgi_task(cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.start_application(cycle, app)

    # Keep-alive timer: runs while the connection is idle

    @property
    def is_keep_alive_timer_running(self) -> bool:
        return self.timeout_keep_alive_task is not None

    def start_keep_alive_timer(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def cancel_keep_alive_timer(self) -> None:
        super()._unset_keepalive_if_required()

    def _unset_keepalive_if_required(self) -> None:
        self.cancel_keep_alive_timer()
