"""Alembic's environment. `service.repo.schema.migrate` passes a connection; the `alembic` command opens its own.

Each revision commits separately, and records its number in `schema_releases` in the same transaction.
"""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, text

from service.config import load
from service.repo.conninfo import conninfo_of
from service.repo.schema.migrate import engine
from service.repo.schema.tables import metadata


def record_number(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001 - Alembic's interface
    run_args: Mapping[str, Any],  # noqa: ARG001 - Alembic's interface
) -> None:
    assert ctx.connection is not None  # noqa: S101 - for the type checker
    ctx.connection.execute(
        text("INSERT INTO schema_releases (number, revision) VALUES (:number, :revision)"),
        {"number": int(str(step.up_revision_id)), "revision": step.up_revision_id},
    )


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=record_number,
    )
    with context.begin_transaction():
        context.run_migrations()


def connect_and_run() -> None:
    settings = load()
    with engine(conninfo_of(settings.postgres), settings.migration).connect() as connection:
        run(connection)


connection = context.config.attributes.get("connection")
if connection is None:
    connect_and_run()
else:
    run(connection)
