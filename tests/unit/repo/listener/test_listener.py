"""What a listener reports and logs. `tests/integration/test_listener.py` tests the rest."""

import psycopg
import pytest
import structlog
from psycopg import errors
from structlog.testing import capture_logs

from service.errors import StorageUnavailable
from service.repo.conninfo import Conninfo
from service.repo.listener.callbacks import ListenerCallbacks
from service.repo.listener.listener import Listener, _HeartbeatTimeout, _problem, _WrongDatabase
from service.repo.scope import Identity
from service.usecases.ports.reads import Notification


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (psycopg.OperationalError("Connection refused"), "the connection to PostgreSQL failed: connection refused"),
        (TimeoutError(), "the connection to PostgreSQL failed: timed out"),
        (StorageUnavailable("the pool is exhausted", sqlstate="53300"), "the pool is exhausted (SQLSTATE 53300)"),
        (errors.AdminShutdown("FATAL"), "PostgreSQL is shutting down or canceled the statement (SQLSTATE 57P01)"),
        (errors.DiskFull("/var/lib"), "PostgreSQL has insufficient resources (SQLSTATE 53100)"),
        (_WrongDatabase("another database"), "another database"),
        (
            errors.ReadOnlySqlTransaction("LISTEN"),
            "PostgreSQL is read-only (a standby): LISTEN needs the primary; set ORDERS_POSTGRES__LISTEN_DSN",
        ),
        (
            _HeartbeatTimeout(),
            (
                "the heartbeat notification timed out: LISTEN needs a direct connection, not a pooler; set "
                "ORDERS_POSTGRES__LISTEN_DSN. Until then every order is read from PostgreSQL"
            ),
        ),
    ],
)
def test_an_error_has_a_fixed_phrase(
    error: psycopg.Error | OSError | StorageUnavailable | _HeartbeatTimeout | _WrongDatabase, problem: str
) -> None:
    assert _problem(error) == problem


class NoReads:
    async def identity(self) -> Identity:
        raise NotImplementedError

    async def replace_connections(self) -> None:
        raise NotImplementedError


class Setup:
    """A listener that is not connected. Records its calls in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        callbacks = ListenerCallbacks(
            on_listen=lambda lsn: self.calls.append(("listen", lsn)),
            on_lsn=lambda lsn: self.calls.append(("lsn", lsn)),
            on_verified=lambda at: self.calls.append(("verified", at)),
            on_notify=self.calls.append,
            on_disconnect=lambda: self.calls.append("disconnect"),
            on_repeated_timeouts=lambda: self.calls.append("repeated timeouts"),
            database_problem=lambda database, _: database,
        )
        conninfo = Conninfo("postgresql://me:secret@node:5432/orders")
        self.listener = Listener(conninfo, NoReads(), callbacks, structlog.get_logger(), heartbeat=1)


def test_only_the_first_heartbeat_of_a_connection_starts_listening() -> None:
    setup = Setup()
    with capture_logs() as logs:
        seen = [setup.listener.is_verified]
        setup.listener._on_verified(1.0, 7)
        setup.listener._on_verified(2.0, 8)
    assert setup.calls == [("listen", 7), ("verified", 1.0), ("verified", 2.0)]
    assert [*seen, setup.listener.is_verified] == [False, True]
    assert logs == [{"event": "receiving notifications", "log_level": "info", "server": "node:5432"}]


def test_a_failure_is_reported_each_time_and_logged_once_until_notifications_arrive_again() -> None:
    setup = Setup()
    with capture_logs() as logs:
        setup.listener._on_verified(1.0, 7)
        delays = [setup.listener._on_failure(ConnectionRefusedError()) for _ in range(3)]
        setup.listener._on_verified(2.0, 8)
        setup.listener._on_failure(ConnectionRefusedError())
    assert delays == [0, 0.2, 0.2]
    assert setup.calls.count("disconnect") == 4
    failed = {
        "event": "not receiving notifications",
        "log_level": "warning",
        "server": "node:5432",
        "problem": "the connection to PostgreSQL failed: connection refused",
    }
    assert [each for each in logs if each["log_level"] == "warning"] == [failed, failed]
    assert len(logs) == 4


def test_only_heartbeats_that_time_out_repeatedly_are_reported_as_such() -> None:
    setup = Setup()
    timeout = _HeartbeatTimeout()
    delays = [setup.listener._on_failure(error) for error in (timeout, OSError(), timeout, timeout)]
    assert setup.calls == [*["disconnect"] * 4, "repeated timeouts"]
    assert delays == [0.4, 0.2, 0.4, 0.8]


def test_notifications_are_passed_on_unless_they_are_malformed() -> None:
    setup = Setup()
    setup.listener._on_notify('{"new": ["a"]}')
    setup.listener._on_notify('{"new": 1}')
    assert setup.calls == [Notification(new=["a"])]
