"""Upgrades from the release of ORDERS_PREVIOUS_COMMIT, with its image and data, for each mode of the migration."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.cluster.external import add_database, copy_logins, external
from tests.cluster.loader import Loader
from tests.cluster.release import Release

COUNT = 5_000
VALID = ("--invalid", "0")
"""Releases accept more and more formats, so their generators differ in what is invalid."""
PREVIOUS_CHART = os.environ.get("ORDERS_PREVIOUS_CHART", "")
PREVIOUS_TAG = os.environ.get("ORDERS_PREVIOUS_IMAGE", "").partition(":")[2]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not PREVIOUS_CHART, reason="NOT RUN: ORDERS_PREVIOUS_COMMIT IS NOT SET"),
]


def test_a_job_migrates_the_previous_release(release: Release, measured: Callable[[str], None]) -> None:
    install_previous(release)
    release.restart("api")  # caches the requested orders: the upgrade also restarts the chart's PostgreSQL
    upgrade_under_load(release, measured)


@pytest.mark.parametrize("mode", ["hook", "none"])
def test_a_hook_or_a_user_migrates_the_previous_release_on_external_servers(
    release: Release, other_namespace: str, mode: str, measured: Callable[[str], None]
) -> None:
    servers, release = release, replace(release, namespace=other_namespace)
    servers.install("--set", "api.replicas=1")
    add_database(servers)
    copy_logins(servers, release)
    install_previous(release, *external(servers))
    if mode == "none":
        migrate(release, *external(servers))
    upgrade_under_load(release, measured, "--set", f"migrations.mode={mode}")


def install_previous(release: Release, *options: str) -> None:
    """Install the previous release, and let it store orders."""
    release.install(*options, "--set", f"image.tag={PREVIOUS_TAG}", chart=PREVIOUS_CHART)
    release.generate(COUNT, *VALID)
    release.wait_for_generator()
    release.check(COUNT, *VALID)


def upgrade_under_load(release: Release, measured: Callable[[str], None], *options: str) -> None:
    with Loader(release).get() as results:
        release.upgrade("--reset-then-reuse-values", "--set", "image.tag=", *options)
    assert results.failed == {}
    assert results.succeeded > 100
    release.check(COUNT, *VALID)
    release.helm("test", release.name)
    measured(f"{COUNT:,} orders kept; {results.succeeded:,} requests during the upgrade, 0 failed")


def migrate(release: Release, *options: str) -> None:
    """Migrate as users of `migrations.mode=none` do: run `orders migrate` with the new image."""
    only = ("--show-only", "templates/migrations/job.yaml")
    job = release.render(*options, "--set", "migrations.mode=job", *only)
    name = release.kubectl("create", "--filename", "-", "--output", "name", stdin=job).strip()
    release.kubectl("wait", name, "--for=condition=complete", "--timeout=180s", within=190)
