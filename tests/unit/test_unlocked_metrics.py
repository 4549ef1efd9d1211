from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.unlocked_metrics import CounterFunction, UnlockedCounter, UnlockedHistogram

BOUNDS = (0.001, 0.25, 1, 30)


def exported(registry: CollectorRegistry) -> list[str]:
    """Return the exposition without the times at which prometheus_client's own were made."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(st.lists(st.sampled_from(["a", 'b"\\\n']), max_size=20))
def test_a_counter_exports_what_that_of_prometheus_client_exports(kinds: Sequence[str]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    plain = UnlockedCounter("seen", "What was seen.", ["kind"], registry=ours)
    other = Counter("seen", "What was seen.", ["kind"], registry=theirs)
    for kind in kinds:
        plain.labels(kind).inc()
        other.labels(kind).inc()
    assert exported(ours) == exported(theirs)


@given(st.lists(st.sampled_from([*BOUNDS, 0.0, 0.0005, 0.2500001, 29.0, 31.0, 1e9]), max_size=20))
def test_a_histogram_exports_what_that_of_prometheus_client_exports(values: Sequence[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    plain = UnlockedHistogram("seconds", "How long.", ["kind"], buckets=BOUNDS, registry=ours)
    other = Histogram("seconds", "How long.", ["kind"], buckets=BOUNDS, registry=theirs)
    for value in values:
        plain.labels("a").observe(value)
        other.labels("a").observe(value)
    assert exported(ours) == exported(theirs)


def test_the_function_of_a_counter_is_called_on_each_scrape() -> None:
    registry, seen = CollectorRegistry(), [1]
    counter = CounterFunction("seen", "What was seen.", registry=registry)
    assert "seen_total 0.0" in exported(registry)
    counter.set_function(lambda: len(seen))
    assert "seen_total 1.0" in exported(registry)
    seen.append(2)
    assert "seen_total 2.0" in exported(registry)
