"""Pods are killed and scaled under load; afterwards every produced message is accounted for."""

from tests.cluster.loader import Loader
from tests.cluster.release import Release
from tests.kit.waiting import eventually

RATE = 400
SMALL_CONSUMERS = "consumer.resources.requests.cpu=10m"
"""So that a node of two cores has room for three of them beside another test, while orders still arrive."""


def test_killing_each_pod_in_turn_under_load_loses_no_order(release: Release) -> None:
    count = 150 * RATE
    release.install()
    release.generate(count, "--rate", str(RATE))
    for component in ("consumer", "api", "postgresql", "kafka", "consumer"):
        before = stored(release)
        release.kill(component)
        eventually(lambda before=before: stored(release) > before, within=60, what="orders are stored again")  # type: ignore[misc]
    release.wait_for_generator()
    release.check(count, "--after-crash")


def test_scaling_the_consumer_under_load_loses_and_duplicates_nothing(release: Release) -> None:
    count = 90 * RATE
    release.install("--set", SMALL_CONSUMERS)
    release.generate(count, "--rate", str(RATE))
    for replicas in (3, 1):
        release.upgrade("--reuse-values", "--no-hooks", "--set", f"consumer.replicas={replicas}")
        before = stored(release)
        eventually(lambda before=before: stored(release) > before, within=60, what="orders are stored")  # type: ignore[misc]
    release.wait_for_generator()
    release.check(count)
    assert release.restarts("consumer") == 0


def test_without_postgresql_no_container_restarts_and_cached_orders_are_served(
    release: Release, loader: Loader
) -> None:
    count = 60 * RATE
    # Larger than the stream: a slow pod would otherwise find 10,000 orders that are newer than the requested ones.
    release.install("--set", f"cache.maxEntries={count},cache.warmUpSize={count}")
    release.generate(count, "--rate", str(RATE))
    eventually(lambda: stored(release) > RATE, within=60, what="orders are stored")
    with loader.get() as results:
        release.restart("api")  # both pods cache the requested orders during warm-up
        release.scale("postgresql", 0, "statefulset")
        release.wait_for_generator()  # the outage lasts until all messages are produced
    assert results.failed == {}
    assert [release.restarts(component) for component in ("api", "consumer")] == [0, 0]
    release.scale("postgresql", 1, "statefulset")
    release.check(count)
    assert [release.restarts(component) for component in ("api", "consumer")] == [0, 0]


def stored(release: Release) -> int:
    """Return the number of stored orders."""
    return int(release.psql("SELECT count(*) FROM orders"))
