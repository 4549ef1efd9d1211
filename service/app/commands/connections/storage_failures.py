"""Explains a failure of PostgreSQL to the user of a command that changes orders. Every command is safe to repeat."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.errors import CommandFailed, SchemaMismatch, StorageError

_MAY_BE_COMMITTED: Final = "the last change may be committed: run the command again"


@contextmanager
def explained() -> Iterator[None]:
    """Raise CommandFailed for a StorageError or a KeyboardInterrupt of the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandFailed(f"interrupted: {_MAY_BE_COMMITTED}") from None
    except StorageError as error:
        raise CommandFailed(f"{error}{_advice(error)}") from None


def _advice(error: StorageError) -> str:
    """Return what to do. An error without an SQLSTATE is a failed connection, possibly during COMMIT."""
    if isinstance(error, SchemaMismatch):
        return ": run `orders migrate`, or check the role's privileges with `orders doctor`"
    return ": run the command again" if error.sqlstate else f"; {_MAY_BE_COMMITTED}"
