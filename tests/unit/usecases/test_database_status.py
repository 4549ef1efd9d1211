"""PostgreSQL is reachable if either kind of connection works."""

from dataclasses import dataclass

import pytest

from service.usecases.database_status import DatabaseStatus
from service.usecases.ports.stats import PoolUsage

IDLE = PoolUsage(max_size=1, size=1, available=1, waiting=0)


@dataclass
class Connections:
    """Implements usecases.ports.stats.ReadConnections and Notifications."""

    is_reachable: bool = False
    is_verified: bool = False
    usage: PoolUsage = IDLE


@pytest.mark.parametrize(
    ("reads", "notifications", "is_reachable"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_postgresql_is_reachable_if_it_answers_reads_or_sends_notifications(
    *, reads: bool, notifications: bool, is_reachable: bool
) -> None:
    status = DatabaseStatus(reads=Connections(is_reachable=reads), notifications=Connections(is_verified=notifications))
    assert (status.is_reachable, status.sends_notifications) == (is_reachable, notifications)
