"""Scaling on load, with metrics-server and KEDA in the cluster."""

import json
import re
from collections.abc import Callable
from time import monotonic

import pytest

from tests.cluster.addons import needs_api
from tests.cluster.loader import Loader
from tests.cluster.release import Release
from tests.kit.waiting import eventually

pytestmark = pytest.mark.nightly

FAST_SCALE_DOWN = {"scaleDown": {"stabilizationWindowSeconds": 15}}
CPU_REQUEST = "api.resources.requests.cpu=50m"
"""So little that the load exceeds the target of four pods on a busy machine too."""
API_AUTOSCALING = {
    "enabled": True,
    "minReplicas": 2,
    "maxReplicas": 4,
    "targetCPU": 40,
    "behavior": FAST_SCALE_DOWN,
}
HEAVY_PAUSE_SECONDS = 0.001
LIGHT_PAUSE_SECONDS = 0.2
KEDA = {
    "enabled": True,
    "minReplicas": 1,
    "maxReplicas": 6,
    "lagThreshold": 1_000,
    "pollingInterval": 5,
    "behavior": FAST_SCALE_DOWN,
}
BACKLOG = 60_000
BATCH = 200
BATCH_SECONDS = 2.0
"""With SLOW_DOWN: one consumer stores 100 orders a second, six of them 600, whatever the machine's CPU does."""
SLOW_DOWN = f"""
CREATE FUNCTION slow_down() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_sleep({BATCH_SECONDS}); RETURN NULL; END$$;
CREATE TRIGGER slow_down BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION slow_down();
"""
STABLE_GENERATION = re.compile(r"Stabilized group orders generation (\d+)")
MAX_REBALANCES_PER_MINUTE = 3


def test_the_api_scales_with_its_cpu_and_fails_no_request(release: Release, measured: Callable[[str], None]) -> None:
    needs_api("metrics.k8s.io/v1beta1")
    release.install("--set", CPU_REQUEST, "--set-json", f"api.autoscaling={json.dumps(API_AUTOSCALING)}")
    release.generate(1_000)
    release.wait_for_generator()
    wait_for_pods(release, "api", 2)
    with Loader(release, pause_seconds=HEAVY_PAUSE_SECONDS).get() as heavy:
        wait_for_pods(release, "api", 4)
    with Loader(release, pause_seconds=LIGHT_PAUSE_SECONDS).get() as light:
        wait_for_pods(release, "api", 2)
    assert [results.failed for results in (heavy, light)] == [{}, {}]
    measured(f"2 → 4 → 2 pods: {heavy.succeeded + light.succeeded:,} requests, 0 failed")


def test_consumers_scale_with_their_lag_and_lose_no_order(release: Release, measured: Callable[[str], None]) -> None:
    needs_api("external.metrics.k8s.io/v1beta1")
    settings = {"ORDERS_BATCH__MAX_MESSAGES": str(BATCH)}
    release.install("--set-json", f"consumer.keda={json.dumps(KEDA)}", "--set-json", f"settings={json.dumps(settings)}")
    wait_for_pods(release, "consumer", 1)
    release.psql(SLOW_DOWN)
    started, before = monotonic(), generation(release)
    release.generate(BACKLOG)
    wait_for_pods(release, "consumer", 6)
    wait_for_pods(release, "consumer", 1)
    rebalances, minutes = generation(release) - before, (monotonic() - started) / 60
    release.check(BACKLOG)
    assert release.restarts("consumer") == 0
    measured(
        f"1 → 6 → 1 pods: {BACKLOG:,} orders, 0 lost, {rebalances} rebalances in {minutes:.1f} minutes",
    )
    assert rebalances / minutes < MAX_REBALANCES_PER_MINUTE


def wait_for_pods(release: Release, component: str, count: int) -> None:
    eventually(lambda: release.ready(component) == count, within=300, what=f"{count} pods of {component}")


def generation(release: Release) -> int:
    """Return the generation of the consumer group, which each rebalance increments."""
    return max(map(int, STABLE_GENERATION.findall(release.kubectl("logs", f"{release.name}-kafka-0"))))
