"""OpenTelemetry tracing, enabled by `OTEL_EXPORTER_OTLP_ENDPOINT`; otherwise OpenTelemetry is not imported.

Its other variables work as usual, such as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from service.errors import InvalidSettings
from service.pkg.run_with_timeout import run_with_timeout
from service.usecases.ingest import BatchMiddleware, no_middleware

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_HEADER: Final = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-:<-\[\]-~]*")
"""One header of a list, as OpenTelemetry accepts it."""

FLUSH_TIMEOUT_SECONDS: Final = 3.0
"""How long shutdown waits for the remaining spans to be exported."""


@contextmanager
def tracing(mode: str, version: str) -> Iterator[BatchMiddleware]:
    """Yield the middleware that traces the writing of batches; export remaining spans at the end of the block.

    Raises InvalidSettings if the extra `otel` is not installed, or a variable is invalid: OpenTelemetry would log it,
    and export nothing.
    """
    enabled_by = [name for name in ENDPOINTS if os.environ.get(name)]
    if not enabled_by:
        yield no_middleware
        return
    _validate(enabled_by)
    try:
        provider = _provider(enabled_by[0], mode, version)
    except ValueError:
        names = ", ".join(sorted(name for name in os.environ if name.startswith("OTEL_")))
        raise InvalidSettings(f"OpenTelemetry rejects the value of one of {names}") from None
    from service.handler.kafka.consumer.reports.tracing import traced  # noqa: PLC0415

    try:
        yield partial(traced, provider.get_tracer("orders", version))
    finally:
        with suppress(TimeoutError):
            run_with_timeout(FLUSH_TIMEOUT_SECONDS, provider.shutdown)


def _validate(endpoints: Sequence[str]) -> None:
    """Raise InvalidSettings, which never contains a value: headers and URLs may hold credentials."""
    for name in endpoints:
        if not _is_http_url(os.environ[name]):
            raise InvalidSettings(f"{name}: must be an HTTP URL, such as http://collector:4318")
    for name in _HEADERS:
        entries = [entry.strip() for entry in os.environ.get(name, "").split(",")]
        if not all(_HEADER.fullmatch(entry) for entry in entries if entry):
            raise InvalidSettings(f"{name}: must be name=value,name=value with URL-encoded values")


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and text.split() == [text]
    except ValueError:
        return False


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
