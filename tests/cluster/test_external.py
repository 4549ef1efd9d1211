"""A release with external servers, whose migration is a hook."""

from dataclasses import replace

import pytest

from tests.cluster.external import add_database, copy_logins, external
from tests.cluster.loader import Loader
from tests.cluster.release import Release
from tests.kit.waiting import eventually

COUNT = 5_000
SMALL_REQUESTS = "kafka.resources.requests.cpu=50m,api.resources.requests.cpu=10m,consumer.resources.requests.cpu=10m"
"""So that a node of two cores has room for two releases beside another test."""


@pytest.fixture
def servers(release: Release) -> Release:
    """Another release, whose Kafka and PostgreSQL serve as the external ones, with a second database."""
    release.install("--set", f"api.replicas=1,{SMALL_REQUESTS}")
    add_database(release)
    return release


def test_a_release_with_external_servers_is_installed_upgraded_and_rolled_back(
    servers: Release, other_namespace: str
) -> None:
    release = replace(servers, namespace=other_namespace)
    copy_logins(servers, release)
    release.install(*external(servers))
    assert release.diff("--no-hooks", *external(servers)) == ""
    release.generate(COUNT)
    release.wait_for_generator()
    release.check(COUNT)
    with Loader(release).get() as results:
        release.upgrade("--reset-then-reuse-values")
        release.upgrade("--reset-then-reuse-values", "--set", "cache.maxEntries=20000")
        release.helm("rollback", release.name, "1", "--wait", "--timeout", "300s")
    assert results.failed == {}
    assert results.succeeded > 100
    release.check(COUNT)
    release.helm("test", release.name)
    release.uninstall()
    eventually(lambda: release.leftovers() == set(), within=90, what="no objects left")
