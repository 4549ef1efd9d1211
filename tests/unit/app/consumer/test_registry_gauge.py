"""`orders_dependency_up{dependency="registry"}` exists only while a consumer knows something about the registry."""

import pytest
from prometheus_client import CollectorRegistry

from service.app.consumer.wiring import set_registry_up
from service.metrics import ConsumerMetrics


@pytest.mark.parametrize(("reports", "value"), [([], None), ([False], 0), ([False, True], 1), ([False, None], None)])
def test_the_gauge_is_the_last_report(reports: list[bool | None], value: float | None) -> None:
    metrics = ConsumerMetrics(CollectorRegistry())
    for each in reports:
        set_registry_up(metrics, each)
    assert metrics.registry.get_sample_value("orders_dependency_up", {"dependency": "registry"}) == value
