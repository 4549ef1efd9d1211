"""Every panel of the dashboard has data on a running system that receives some invalid messages."""

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.kit.factories import order_document
from tests.kit.harness import Harness, Sent, orders
from tests.kit.processes import Service, Spawn
from tests.prometheus.conftest import NAMESPACE, prometheus
from tests.prometheus.panels import DASHBOARD, PANELS, VARIABLES, assert_panels_have_data
from tests.prometheus.server import Prometheus

if TYPE_CHECKING:
    from local.postgres import Postgres

EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
UNITS = {"bool", "bool_on_off", "bytes", "ops", "percentunit", "reqps", "s", "short"}
"""The units of Grafana that the dashboard uses."""


class Traffic:
    """Produces orders, unusual orders and invalid messages, and reads from the API, until the block ends."""

    def __init__(self, harness: Harness, api: Service) -> None:
        self._harness = harness
        self._api = api
        self._stop = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.2):
            number += 1
            uid = f"order-{number}"
            unusual = order_document(order_uid=f"unusual-{number}", payment={"amount": 1}, unknown_field=1)
            self._harness.produce(*orders([order_document(order_uid=uid), unusual]), Sent(b"not an order"))
            for path in (f"/orders/{uid}", f"/orders/order-{number - 1}", "/orders?limit=1", "/stats"):
                httpx2.get(f"{self._api.url}{path}")


@pytest.fixture
def observed(
    harness: Harness, spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres", tmp_path: Path
) -> Iterator[Prometheus]:
    """A consumer and an API with traffic, after a short outage of PostgreSQL."""
    own = settings | {"ORDERS_POSTGRES__DSN": own_postgres.dsn}
    consumer = spawn("consumer", settings=own).ready()
    api = spawn("api", settings=own).ready()
    with prometheus(tmp_path, consumer, api) as server, Traffic(harness, api):
        server.wait_for_samples("sum(rate(orders_stored_total[20s])) > 0")
        own_postgres.stop()
        server.wait_for_samples('sum(orders_dependency_up{dependency="postgresql"}) == 0')
        own_postgres.start()
        yield server


def test_every_panel_has_data(observed: Prometheus) -> None:
    assert_panels_have_data(observed, NAMESPACE)


def test_every_panel_has_a_description_and_a_unit() -> None:
    assert len(PANELS) > 20
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# The rules of Grafana's dashboard-linter


def test_the_dashboard_has_variables_for_data_source_namespace_job_and_instance() -> None:
    assert list(VARIABLES) == ["datasource", "namespace", "job", "instance"]
    assert (VARIABLES["datasource"]["query"], VARIABLES["datasource"]["label"]) == ("prometheus", "Data source")
    for variable in (VARIABLES["job"], VARIABLES["instance"]):
        assert (variable["type"], variable["datasource"]["uid"]) == ("query", "${datasource}")
        assert variable["label"] == variable["name"].title()
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")


def test_variables_are_refreshed_when_the_time_range_changes() -> None:
    assert {variable["refresh"] for variable in VARIABLES.values() if variable["type"] == "query"} == {2}


def test_the_dashboard_is_not_editable() -> None:
    assert DASHBOARD["editable"] is False


def test_every_query_filters_by_the_variables() -> None:
    for expression in EXPRESSIONS:
        names = re.findall(r"\b(?:orders|process)_\w+", expression)
        filtered = r'\b(\w+)\{namespace="\$namespace",job=~"\$job",instance=~"\$instance"[,}]'
        assert names
        assert names == re.findall(filtered, expression)


def test_counters_are_queried_as_rates_over_the_rate_interval() -> None:
    for expression in EXPRESSIONS:
        counters = re.findall(r"\w+_(?:total|bucket)\{", expression)
        assert counters == re.findall(r"\b(?:rate|increase)\((\w+_(?:total|bucket)\{)[^}]*\}\[", expression)
        assert set(re.findall(r"\brate\([^\[]*\[(.*?)\]", expression)) <= {"$__rate_interval"}
