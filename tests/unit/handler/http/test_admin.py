"""The admin port's application: what it answers to scrapers."""

import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from service.handler.http.admin import admin_app
from service.handler.http.routes.probes import Health
from service.metrics import ApiMetrics


@pytest.fixture
def client() -> TestClient:
    registry = CollectorRegistry()
    ApiMetrics(registry)
    return TestClient(admin_app(Health(live={}, ready={}, started={}), registry, {}, structlog.get_logger()))


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text"),
        ('application/openmetrics-text;version="1.0.0"', "text/plain"),
        ("text/plain;version=unknown", "text/plain"),
    ],
)
def test_every_scraper_gets_a_format_that_it_reads(client: TestClient, accept: str, media_type: str) -> None:
    response = client.get("/metrics", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, media_type)
    assert "# TYPE orders_http_requests" in response.text
