"""Every panel of the dashboard has data on a system that runs, with some faults in what it is sent."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.factories import order_document
from tests.harness import Harness, Sent, orders
from tests.processes import Service, Spawn
from tests.prometheus.conftest import NAMESPACE, prometheus
from tests.prometheus.panels import CHOICES, DASHBOARD, PANELS, ROOT, assert_all_show_something
from tests.prometheus.server import Prometheus

if TYPE_CHECKING:
    from local.postgres import Postgres

EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
UNITS = {"bool", "bool_on_off", "bytes", "ops", "percentunit", "reqps", "s", "short"}
"""Of the many that Grafana knows by these names, those that are needed."""


class Traffic:
    """Orders, odd ones and bad ones among them, and readers of the API, until the block ends."""

    def __init__(self, harness: Harness, api: Service) -> None:
        self._stage = harness
        self._api = api
        self._is_over = Event()
        self._thread = Thread(target=self._flow)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _flow(self) -> None:
        number = 0
        while not self._is_over.wait(0.2):
            number += 1
            uid = f"order-{number}"
            odd = order_document(order_uid=f"odd-{number}", payment={"amount": 1}, unknown_field=1)
            self._stage.produce(*orders([order_document(order_uid=uid), odd]), Sent(b"not an order"))
            for path in (f"/orders/{uid}", f"/orders/order-{number - 1}", "/orders?limit=1", "/stats"):
                httpx2.get(f"{self._api.url}{path}")


@pytest.fixture
def observed(
    harness: Harness, spawn: Spawn, settings: dict[str, str], own_postgres: "Postgres", tmp_path: Path
) -> Iterator[Prometheus]:
    """A consumer and an API under traffic, after PostgreSQL was away for a moment."""
    known = settings | {"ORDERS_POSTGRES__DSN": own_postgres.dsn}
    consumer = spawn("consumer", settings=known).ready()
    api = spawn("api", settings=known).ready()
    with prometheus(tmp_path, consumer, api) as server, Traffic(harness, api):
        server.tells("sum(rate(orders_stored_total[20s])) > 0")
        own_postgres.stop()
        server.tells('sum(orders_dependency_up{dependency="postgresql"}) == 0')
        own_postgres.start()
        yield server


def test_every_panel_shows_something(observed: Prometheus) -> None:
    assert_all_show_something(observed, NAMESPACE)


def test_the_dashboard_is_what_its_source_makes() -> None:
    assert json.loads(runpy.run_path(str(ROOT / ".ci" / "dashboard.py"))["written"]()) == DASHBOARD


def test_every_panel_says_what_it_shows_and_in_what_unit() -> None:
    assert len(PANELS) > 20
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# From here on: the rules of Grafana's own dashboard-linter, without an exception.


def test_whoever_looks_chooses_source_and_namespace_and_may_look_closer_at_jobs_and_instances() -> None:
    assert list(CHOICES) == ["datasource", "namespace", "job", "instance"]
    assert (CHOICES["datasource"]["query"], CHOICES["datasource"]["label"]) == ("prometheus", "Data source")
    for choice in (CHOICES["job"], CHOICES["instance"]):
        assert (choice["type"], choice["datasource"]["uid"]) == ("query", "${datasource}")
        assert choice["label"] == choice["name"].title()
        assert (choice["multi"], choice["includeAll"], choice["allValue"]) == (True, True, ".+")


def test_choices_are_looked_up_anew_when_the_time_changes() -> None:
    assert {choice["refresh"] for choice in CHOICES.values() if choice["type"] == "query"} == {2}


def test_the_dashboard_is_changed_in_its_source_and_not_by_hand() -> None:
    assert DASHBOARD["editable"] is False


def test_every_metric_is_asked_for_by_what_was_chosen() -> None:
    for asked in EXPRESSIONS:
        names = re.findall(r"\b(?:orders|process)_\w+", asked)
        chosen = r'\b(\w+)\{namespace="\$namespace",job=~"\$job",instance=~"\$instance"[,}]'
        assert names
        assert names == re.findall(chosen, asked)


def test_counters_are_rates_over_what_fits_the_width_of_the_panel() -> None:
    for asked in EXPRESSIONS:
        counters = re.findall(r"\w+_(?:total|bucket)\{", asked)
        assert counters == re.findall(r"\b(?:rate|increase)\((\w+_(?:total|bucket)\{)[^}]*\}\[", asked)
        assert set(re.findall(r"\brate\([^\[]*\[(.*?)\]", asked)) <= {"$__rate_interval"}
