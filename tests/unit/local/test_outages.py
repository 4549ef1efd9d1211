"""What the demo says of servers that it loses, and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.outages import Outages

THEN = datetime(2026, 3, 1, 12, 3, 10, tzinfo=UTC)
CLOCK = f"{THEN.astimezone():%H:%M:%S}"


def states(*down: str) -> dict[str, Any]:
    return {
        name: {"is_up": name not in down, "since": "2026-03-01T12:03:10.000Z"}
        for name in ("postgresql", "notifications", "kafka")
    }


def outages() -> Outages:
    return Outages(now=lambda: THEN + timedelta(seconds=52))


def test_a_lost_server_is_said_once_with_what_still_works_and_again_when_it_is_back() -> None:
    seen = outages()
    assert list(seen.note_dependencies(states())) == []
    lost = f"PostgreSQL unreachable since {CLOCK}: cached orders are still served; new orders wait in Kafka"
    assert list(seen.note_dependencies(states("postgresql", "notifications"))) == [lost]
    assert list(seen.note_dependencies(states("postgresql", "notifications"))) == []
    assert seen.mark == " | PostgreSQL unreachable"
    assert list(seen.note_dependencies(states())) == ["PostgreSQL reachable again after 52 s"]
    assert seen.mark == ""


def test_all_that_is_lost_is_said() -> None:
    seen = outages()
    assert list(seen.note_dependencies(states("kafka"))) == [
        f"Kafka unreachable since {CLOCK}: stored orders are still served; no new ones arrive"
    ]
    [line] = seen.note_dependencies(states("kafka", "notifications"))
    assert line.startswith(f"no notifications from PostgreSQL since {CLOCK}: ")
    assert seen.mark == " | Kafka unreachable | no notifications from PostgreSQL"


def test_what_was_not_asked_yet_is_not_lost() -> None:
    assert list(outages().note_dependencies(dict.fromkeys(states()))) == []


def test_one_of_our_own_that_does_not_answer_is_said() -> None:
    seen = Outages(now=lambda: THEN)
    [line] = seen.note("api", is_up=False)
    assert line == f"API not responding since {CLOCK}: the consumer still stores orders"
    assert list(seen.note("api", is_up=True)) == ["API responding again after 0 s"]
