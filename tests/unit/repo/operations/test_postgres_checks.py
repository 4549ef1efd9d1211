"""What the checks of PostgreSQL raise. tests/integration/test_doctor.py runs them on a server."""

from contextlib import nullcontext

import psycopg
import pytest
from psycopg.errors import UndefinedTable

from service.config import PostgresSettings
from service.errors import SchemaMismatch
from service.repo.operations.postgres_checks import connect


def test_an_error_of_the_driver_leaves_a_check_as_an_error_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: nullcontext())
    postgres = PostgresSettings()
    with pytest.raises(SchemaMismatch, match="42P01"), connect(postgres.dsn, postgres):
        raise UndefinedTable
