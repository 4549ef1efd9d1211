"""Programs that not every cluster has."""

import pytest

from tests.cluster.release import run


def needs_api(version: str) -> None:
    """Skip the test if the cluster does not serve this API."""
    if version not in run("kubectl", "api-versions").split():
        pytest.skip(f"NOT RUN: THE CLUSTER DOES NOT SERVE {version}: tests/cluster/kubernetes/addons.sh INSTALLS IT")
