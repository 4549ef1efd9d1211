"""The problem that a listener logs. `tests/integration/test_listener.py` tests the rest."""

import psycopg
import pytest
from psycopg import errors

from service.errors import StorageUnavailable
from service.repo.listener.listener import _problem


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (psycopg.OperationalError("Connection refused"), "the connection to PostgreSQL failed: connection refused"),
        (TimeoutError(), "the connection to PostgreSQL failed: timed out"),
        (StorageUnavailable("the pool is exhausted", sqlstate="53300"), "the pool is exhausted (SQLSTATE 53300)"),
        (errors.AdminShutdown("FATAL"), "PostgreSQL is shutting down or canceled the statement (SQLSTATE 57P01)"),
        (errors.DiskFull("/var/lib"), "PostgreSQL has insufficient resources (SQLSTATE 53100)"),
    ],
)
def test_an_error_has_a_fixed_phrase(error: psycopg.Error | OSError | StorageUnavailable, problem: str) -> None:
    assert _problem(error) == problem


def test_a_standby_is_named_with_the_setting_that_leads_to_the_primary() -> None:
    assert "ORDERS_POSTGRES__LISTEN_DSN" in _problem(errors.ReadOnlySqlTransaction("LISTEN"))
