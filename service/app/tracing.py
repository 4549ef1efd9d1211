"""OpenTelemetry, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; elsewhere nothing of it is even imported.

Everything else of it is set by its own variables, such as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from service.entities.errors import InvalidSettings
from service.pkg.run_with_timeout import run_with_timeout
from service.usecases.ingest import BatchMiddleware, no_middleware

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_FLUSH_SECONDS: Final = 3.0
"""How long the end of the process waits for the collector to take what was traced."""


@contextmanager
def tracing(mode: str, version: str) -> Iterator[BatchMiddleware]:
    """Yield what to put around the writing of batches; at the end what was traced is sent.

    Raises InvalidSettings where the extra is not installed.
    """
    named = [name for name in ENDPOINTS if os.environ.get(name)]
    if not named:
        yield no_middleware
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        needed = "this project's extra `otel` (`pip install '.[otel]'` in its folder)"
        raise InvalidSettings(f"{named[0]}: tracing needs {needed}") from None
    from service.handler.kafka.consumer.tracing import traced  # noqa: PLC0415

    ours = Resource.create({"service.name": f"orders-{mode}", "service.version": version})
    provider = TracerProvider(
        resource=ours.merge(OTELResourceDetector().detect()),  # what the environment says wins
        shutdown_on_exit=False,  # we do so, within a time
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield partial(traced, provider.get_tracer("orders", version))
    finally:
        with suppress(TimeoutError):
            run_with_timeout(_FLUSH_SECONDS, provider.shutdown)
