"""Checks the server settings that limit how much WAL an order costs, for `orders doctor`."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from service.errors import CheckWarning
from service.repo.operations.postgres_checks import connect

if TYPE_CHECKING:
    from service.config import PostgresSettings

MIN_MAX_WAL_SIZE_MB: Final = 4_096
MIN_CHECKPOINT_TIMEOUT_SECONDS: Final = 900

VALUES: Final = """\
SELECT name, setting FROM pg_settings WHERE name IN ('max_wal_size', 'checkpoint_timeout', 'wal_compression')"""
"""Returns MB and seconds."""


def wal(postgres: "PostgresSettings") -> str:
    """Describe the settings. Raises CheckWarning, CheckFailed or StorageError."""
    with connect(postgres.dsn, postgres) as connection:
        values: dict[str, str] = dict(connection.execute(VALUES).fetchall())
    if problems := [*wal_problems(values)]:
        raise CheckWarning("; ".join(problems))
    return f"max_wal_size {values['max_wal_size']} MB, checkpoint_timeout {values['checkpoint_timeout']} s"


def wal_problems(values: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with these settings, in the units of `pg_settings`."""
    if int(values["max_wal_size"]) < MIN_MAX_WAL_SIZE_MB:
        yield f"max_wal_size is {values['max_wal_size']} MB, less than {MIN_MAX_WAL_SIZE_MB} MB"
    if int(values["checkpoint_timeout"]) < MIN_CHECKPOINT_TIMEOUT_SECONDS:
        yield f"checkpoint_timeout is {values['checkpoint_timeout']} s, less than {MIN_CHECKPOINT_TIMEOUT_SECONDS} s"
    if values["wal_compression"] == "off":
        yield "wal_compression is off"
