"""The demo reports when servers become unreachable and reachable."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local.outages import Outages

OUTAGE_START = datetime(2026, 3, 1, 12, 3, 10, tzinfo=UTC)
CLOCK = f"{OUTAGE_START.astimezone():%H:%M:%S}"


def states(*down: str) -> dict[str, Any]:
    return {
        name: {"is_up": name not in down, "since": "2026-03-01T12:03:10.000Z"}
        for name in ("postgresql", "notifications", "kafka")
    }


def outages() -> Outages:
    return Outages(now=lambda: OUTAGE_START + timedelta(seconds=52))


def test_an_outage_is_reported_once_with_its_effect_and_again_at_its_end() -> None:
    observed = outages()
    assert list(observed.note_dependencies(states())) == []
    lost = f"PostgreSQL unreachable since {CLOCK}: cached orders are still served; new orders wait in Kafka"
    assert list(observed.note_dependencies(states("postgresql", "notifications"))) == [lost]
    assert list(observed.note_dependencies(states("postgresql", "notifications"))) == []
    assert observed.mark == " | PostgreSQL unreachable"
    assert list(observed.note_dependencies(states())) == ["PostgreSQL reachable again after 52 s"]
    assert observed.mark == ""


def test_simultaneous_outages_are_all_reported() -> None:
    observed = outages()
    assert list(observed.note_dependencies(states("kafka"))) == [
        f"Kafka unreachable since {CLOCK}: stored orders are still served; no new ones arrive"
    ]
    [line] = observed.note_dependencies(states("kafka", "notifications"))
    assert line.startswith(f"no notifications from PostgreSQL since {CLOCK}: ")
    assert observed.mark == " | Kafka unreachable | no notifications from PostgreSQL"


def test_unknown_states_are_not_reported() -> None:
    assert list(outages().note_dependencies(dict.fromkeys(states()))) == []


def test_an_unresponsive_service_is_reported() -> None:
    observed = Outages(now=lambda: OUTAGE_START)
    [line] = observed.note("api", is_up=False)
    assert line == f"API not responding since {CLOCK}: the consumer still stores orders"
    assert list(observed.note("api", is_up=True)) == ["API responding again after 0 s"]
