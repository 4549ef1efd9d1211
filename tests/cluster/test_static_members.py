"""`consumer.kind=StatefulSet` on a cluster: rollouts and deleted pods cause no rebalance."""

import json
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from time import monotonic

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.release import Release
from tests.cluster.test_faults import stored
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

RATE = 100
COUNT = 240 * RATE
PARTITIONS = 6
SESSION_SECONDS = 60
STATIC = ("--set", "consumer.kind=StatefulSet,consumer.replicas=2")
CONSUMER = "statefulset/orders-consumer"
READ_METRICS = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9000/metrics').read().decode())"
FIRST, SECOND = "orders-consumer-0", "orders-consumer-1"

Measured = Callable[[str], None]


def test_static_members_restart_without_a_rebalance(release: Release, measured: Measured) -> None:
    # A busy machine may take longer than the default, a minute, to restart a pod.
    release.install(*STATIC, "--set", "settings.ORDERS_KAFKA__SESSION_TIMEOUT=4m")
    eventually(lambda: sizes(release) == {FIRST: 3, SECOND: 3}, within=60, what="both own partitions")
    release.generate(COUNT, "--rate", str(RATE))
    before = partitions(release)

    release.kubectl("rollout", "restart", CONSUMER)
    release.wait_for_rollout("consumer", "statefulset")
    eventually(lambda: rebalances(release) == {FIRST: 1, SECOND: 1}, within=30, what="each pod joined once")
    wait_for_stored_orders(release)
    release.kubectl("delete", "pod", SECOND)
    eventually(lambda: rebalances(release) == {FIRST: 1, SECOND: 1}, within=60, what="the pod joined once")
    wait_for_stored_orders(release)
    assert rebalances(release) == {FIRST: 1, SECOND: 1}
    assert partitions(release) == before
    measured("no rebalance: each of two pods joined once in a rollout, and once after it was deleted")

    release.wait_for_generator()
    release.check(COUNT)
    assert release.restarts("consumer") == 0
    assert CONSUMER in release.helm("get", "notes", release.name)


def test_the_partitions_of_a_removed_static_member_move_when_its_session_times_out(
    release: Release, measured: Measured
) -> None:
    release.install(*STATIC)
    eventually(lambda: sizes(release) == {FIRST: 3, SECOND: 3}, within=60, what="both own partitions")
    started = monotonic()
    release.scale("consumer", 1, "statefulset")
    eventually(lambda: sizes(release) == {FIRST: PARTITIONS}, within=2 * SESSION_SECONDS, what="the other owns all")
    seconds = monotonic() - started
    assert seconds > SESSION_SECONDS / 2
    measured(f"{seconds:.0f} s until the partitions of a removed pod moved; its session timeout is {SESSION_SECONDS} s")
    release.generate(RATE)
    release.wait_for_generator()
    release.check(RATE)


def partitions(release: Release) -> dict[str, list[int]]:
    """Return the partitions of each member of the group, as the API reports them."""
    with release.forwarded("api", 80) as port, closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/stats")
        members = json.loads(connection.getresponse().read())["consumers"]["members"]
    return {member["client_id"].removeprefix("orders-"): member["partitions"] for member in members}


def sizes(release: Release) -> dict[str, int]:
    return {member: len(owned) for member, owned in partitions(release).items()}


def rebalances(release: Release) -> dict[str, float]:
    """Return how often the partitions of each pod have changed since it started."""
    return {pod: counter(release, pod, "orders_rebalances_total") for pod in release.pod_names("consumer")}


def counter(release: Release, pod: str, name: str) -> float:
    text = release.kubectl("exec", pod, "--container", "consumer", "--", "python", "-c", READ_METRICS)
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)


def wait_for_stored_orders(release: Release) -> None:
    before = stored(release)
    eventually(lambda: stored(release) > before + 5 * RATE, within=60, what="orders are stored")
