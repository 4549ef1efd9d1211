"""Orders in each format while a member, PostgreSQL or the schema registry fails. Each test runs with every format.

The other scenarios mix the formats that need no schema registry.
"""

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.faults.formats import LABELS, FormattedOrders, SchemaRegistry
from tests.faults.nemesis import stopped
from tests.faults.workload import INVALID, MIX, STREAM_SECONDS, Workload, wait_assigned
from tests.kit.harness import metric
from tests.kit.processes import Service
from tests.kit.registry import registry
from tests.kit.waiting import eventually

every_format = pytest.mark.parametrize("message_format", LABELS)

KILL_AT, NTH = "before-commit", 8
"""The stream is in progress."""
VALID = replace(MIX, invalid=0)
MEMORY_MIB = 256
"""The documented memory limit of a consumer (docs/limits.md)."""
LAGGING = {"ORDERS_REGISTRY__UNKNOWN_ID_ATTEMPTS": "40", "ORDERS_RETRY__MAX_BACKOFF": "0.5"}
"""Attempts for ten seconds: the registry starts without schemas."""


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield SchemaRegistry(server)


@pytest.fixture
def orders(workload: Workload, message_format: str, schemas: SchemaRegistry) -> FormattedOrders:
    schemas.register()
    return FormattedOrders(workload, message_format, schemas)


@every_format
def test_without_a_fault(orders: FormattedOrders, message_format: str) -> None:
    members = orders.workload.members(**orders.settings)
    orders.send(3)
    assert orders.workload.assert_exact().repeated == 0
    label = LABELS[message_format]
    assert all(metric(member, "orders_decoded_total", format=label) > 0 for member in members)


@every_format
def test_bad_messages(orders: FormattedOrders) -> None:
    """Among them are messages that would take more memory than the consumer has."""
    members = orders.workload.members(**orders.settings)
    orders.send(3, INVALID, orders.poison())
    orders.workload.assert_exact()
    assert max(member.peak_mib() for member in members) < MEMORY_MIB


@every_format
def test_the_registry_is_restarted(orders: FormattedOrders) -> None:
    """A member that has cached the schema goes on. One that needs it waits, even for a registry that lags.

    Without faults, some of which begin like a message with a schema.
    """
    workload, settings = orders.workload, orders.settings | LAGGING
    workload.members(1, **settings)
    sender = orders.send(STREAM_SECONDS, VALID)
    workload.wait_stored()
    with stopped(orders.registry):
        workload.wait_stored()
        (other,) = workload.members(1, **settings)
        wait_problem(orders, other, "connection refused")
    wait_problem(orders, other, "does not know")
    orders.registry.register()
    workload.fault_ended()
    workload.wait_stored()
    sender.stop()
    assert workload.assert_exact().repeated == 0


@every_format
def test_postgresql_is_restarted(orders: FormattedOrders) -> None:
    orders.workload.members(**orders.settings)
    orders.send(3)
    orders.workload.wait_stored()
    with stopped(orders.workload.postgres):
        pass
    orders.workload.fault_ended()
    assert orders.workload.assert_exact().repeated == 0


@every_format
def test_a_member_is_killed(orders: FormattedOrders) -> None:
    workload = orders.workload
    workload.members(1, **orders.settings)
    killed = wait_assigned(workload.start_with_failpoint(KILL_AT, NTH, **orders.settings))
    sender = orders.send(STREAM_SECONDS)
    assert killed.process.wait(STREAM_SECONDS) == -signal.SIGKILL
    sender.stop()
    workload.fault_ended()
    workload.start(**orders.settings)
    workload.assert_exact()


def wait_problem(orders: FormattedOrders, member: Service, problem: str) -> None:
    """Block until the member, if it needs a schema, has logged why it cannot get it."""

    def is_logged() -> bool:
        lines = member.logged("loading a schema failed and will be retried")
        return any(problem in line["problem"] for line in lines)

    if orders.has_schema:
        eventually(is_logged, 30, f"a schema is not loaded: {problem}")
