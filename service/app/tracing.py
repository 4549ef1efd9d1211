"""OpenTelemetry tracing, enabled by `OTEL_EXPORTER_OTLP_ENDPOINT`; otherwise OpenTelemetry is not imported.

Its other variables work as usual, such as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from service.errors import InvalidSettings
from service.pkg.run_with_timeout import run_with_timeout
from service.usecases.ingest import BatchMiddleware, no_middleware

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_FLUSH_TIMEOUT_SECONDS: Final = 3.0
"""How long shutdown waits for the remaining spans to be exported."""


@contextmanager
def tracing(mode: str, version: str) -> Iterator[BatchMiddleware]:
    """Yield the middleware that traces the writing of batches; export remaining spans at the end of the block.

    Raises InvalidSettings if the extra `otel` is not installed.
    """
    enabled_by = [name for name in ENDPOINTS if os.environ.get(name)]
    if not enabled_by:
        yield no_middleware
        return
    provider = _provider(enabled_by[0], mode, version)
    from service.handler.kafka.consumer.tracing import traced  # noqa: PLC0415

    try:
        yield partial(traced, provider.get_tracer("orders", version))
    finally:
        with suppress(TimeoutError):
            run_with_timeout(_FLUSH_TIMEOUT_SECONDS, provider.shutdown)


def _provider(variable: str, mode: str, version: str) -> "TracerProvider":
    """Import OpenTelemetry, which `variable` enables, and return the provider. Raises InvalidSettings."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise InvalidSettings(
            f"{variable}: tracing needs the extra `otel`: run `pip install '.[otel]'` in a checkout"
        ) from None
    defaults = Resource.create({"service.name": f"orders-{mode}", "service.version": version})
    provider = TracerProvider(
        resource=defaults.merge(OTELResourceDetector().detect()),  # the environment takes precedence
        shutdown_on_exit=False,  # `tracing` shuts it down, with a timeout
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
