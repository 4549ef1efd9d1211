"""Runs calls in threads, and waits until a lock of PostgreSQL blocks them."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, LiteralString

import psycopg

from tests.kit.waiting import eventually

Background = Callable[[Callable[[], Any]], Future[Any]]
"""Runs a call in another thread."""

_WAITING_FOR_LOCK: Final[LiteralString] = """\
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = %s"""


def wait_until_blocked(admin: psycopg.Connection, application: str, call: Future[Any]) -> None:
    """Return once a connection of the application waits for a lock, or the call is done."""
    eventually(lambda: call.done() or admin.execute(_WAITING_FOR_LOCK, [application]).fetchone() is not None)
