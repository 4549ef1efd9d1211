"""A local OTLP trace collector."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """Spans and service names received so far."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    received: bytes = b""

    def receive(self, body: bytes) -> None:
        self.received += body
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {attribute.key: attribute.value.string_value for attribute in each.resource.attributes}
            self.services.add(attributes["service.name"])
            self.spans.extend(span for scope in each.scope_spans for span in scope.spans)

    def spans_of(self, trace: str) -> dict[str, Any]:
        """Return the spans of a trace by their names."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.receive(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        collector.url = f"http://127.0.0.1:{port}"
        yield collector


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
