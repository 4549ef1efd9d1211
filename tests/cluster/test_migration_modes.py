"""`migrations.mode=none`: the user runs the migration, and the pods wait for it."""

import pytest

from tests.cluster.release import CHART, Release
from tests.kit.waiting import eventually, throughout

pytestmark = pytest.mark.nightly


def test_without_a_migration_of_the_release_pods_wait_for_the_one_of_the_user(release: Release) -> None:
    release.helm("install", release.name, CHART, "--set", "migrations.mode=none")
    release.wait_for_rollout("kafka", "statefulset")
    release.wait_for_rollout("postgresql", "statefulset")
    eventually(lambda: waiting(release) == {"api", "consumer"}, within=60, what="the pods wait")
    assert release.items("jobs") == []
    throughout(lambda: waiting(release) == {"api", "consumer"}, 10)
    release.run_example("migrate.yaml")
    release.wait_for_rollout("api")
    release.wait_for_rollout("consumer")
    assert [release.restarts(component) for component in ("api", "consumer")] == [0, 0]
    release.helm("test", release.name)


def waiting(release: Release) -> set[str]:
    """Return the components whose pods run the init container that waits for the migration."""
    return {
        component
        for component in ("api", "consumer")
        for pod in release.pods(component)
        for container in pod["status"].get("initContainerStatuses", [])
        if "running" in container["state"]
    }
