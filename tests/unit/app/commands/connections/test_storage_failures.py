"""A command that changes orders says after a failure of PostgreSQL whether it may have changed something."""

import pytest

from service.app.commands.connections.storage_failures import explained
from service.errors import CommandFailed, SchemaMismatch, StatementTimedOut, StorageUnavailable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StorageUnavailable("lost"), "lost; the last change may be committed: run the command again"),
        (StatementTimedOut("slow", sqlstate="57014"), "slow (SQLSTATE 57014): run the command again"),
        (
            SchemaMismatch("no table", sqlstate="42P01"),
            "no table (SQLSTATE 42P01): run `orders migrate`, or check the role's privileges with `orders doctor`",
        ),
        (KeyboardInterrupt(), "interrupted: the last change may be committed: run the command again"),
    ],
)
def test_a_failure_is_explained(error: BaseException, text: str) -> None:
    with pytest.raises(CommandFailed) as raised, explained():
        raise error
    assert str(raised.value) == text


def test_any_other_error_is_not_caught() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        raise ZeroDivisionError
