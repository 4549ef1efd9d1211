"""The page's thresholds are those of the alerts, and its links are values."""

import pytest

from tests.chart.alert_rules import ON, named
from tests.chart.helm import one, rejection, render


def settings_of(*values: str) -> dict[str, str]:
    settings: dict[str, str] = one(render(settings=values), "ConfigMap", "orders")["data"]
    return {name: value for name, value in settings.items() if name.startswith("ORDERS_PAGE__")}


@pytest.mark.parametrize("values", [(), ("lagGrows.messages=1200000", "poolSaturated.waiting=3")])
def test_the_thresholds_are_those_of_the_alerts(values: tuple[str, ...]) -> None:
    changed = [f"metrics.prometheusRule.{value}" for value in values]
    page = settings_of(*changed)
    [lag] = named("OrdersLagGrows", *changed)
    assert f" > {page['ORDERS_PAGE__MAX_LAG']}\n" in lag["expr"]
    [pool] = named("OrdersPoolSaturated", *changed)
    assert pool["expr"].strip().endswith(f" > {page['ORDERS_PAGE__MAX_WAITING_READS']}")
    assert settings_of(ON, *changed) == page


def test_an_alert_that_is_omitted_has_no_threshold() -> None:
    omitted = ("metrics.prometheusRule.lagGrows=null", "metrics.prometheusRule.poolSaturated=null")
    assert settings_of(*omitted) == {}


def test_links_are_set_where_values_name_them() -> None:
    links = {
        "page.metricsUrl": ("ORDERS_PAGE__METRICS_URL", "https://metrics.example.com/graph?a=b&c=d"),
        "page.grafanaUrl": ("ORDERS_PAGE__GRAFANA_URL", "https://grafana.example.com/d/orders"),
        "page.kafkaUiUrl": ("ORDERS_PAGE__KAFKA_UI_URL", "http://kafka-ui.tools"),
        "metrics.prometheusRule.runbookUrl": ("ORDERS_PAGE__RUNBOOKS_URL", "https://git.example.com/runbooks"),
    }
    page = settings_of(*(f"{value}={url}" for value, (_, url) in links.items()))
    assert {name: page.get(name) for name, _ in links.values()} == dict(links.values())
    assert not [name for name in settings_of() if name.endswith("_URL")]


@pytest.mark.parametrize("value", ["page.grafanaUrl=javascript:alert(1)", "page.grafana=https://grafana.example.com"])
def test_other_links_are_rejected(value: str) -> None:
    assert any("page" in line for line in rejection(value))
