"""All generated files. Those that others read come first."""

from collections.abc import Callable, Mapping
from typing import Final

from reference import (
    chart,
    configuration,
    dashboard,
    documents,
    durations,
    licenses,
    logs,
    metrics,
    nightly,
    packages,
    problems,
    values_schema,
)
from service.entities.order_schemas import protobuf_schema

Files = Mapping[str, Callable[[], str]]

OF_CHART: Final[Files] = {
    "local/compose/prometheus/alerts.yml": chart.render_alerts,
    "chart/README.md": chart.render_readme,
}
"""Need Helm and helm-docs."""

OF_CODE: Final[Files] = {
    "chart/files/dashboard.json": dashboard.render,
    "chart/values.schema.json": values_schema.render,
    "docs/architecture.md": packages.render,
    "docs/asyncapi.json": documents.render_asyncapi,
    "docs/configuration.md": configuration.render,
    "docs/licenses.md": licenses.render,
    "docs/logs.md": logs.render,
    "docs/metrics.md": metrics.render,
    "docs/nightly.md": nightly.render,
    "docs/openapi.json": documents.render_openapi,
    "docs/order.avsc": documents.render_avro_schema,
    "docs/order.proto": protobuf_schema,
    "docs/order.schema.json": documents.render_order_schema,
    "docs/problems.md": problems.render,
    "tests/README.md": durations.render,
}
