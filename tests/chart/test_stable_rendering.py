"""Equal values render equal bytes, also without access to a cluster, as Argo CD requires."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chart.helm import CHART, ROOT, render, render_yaml
from tests.chart.test_pods import RELEASES, chart_secrets

VALUES: Final = {**RELEASES, **{file.stem: file for file in sorted((ROOT / "k8s" / "values").glob("*.yaml"))}}
LOGINS: Final = ("orders-postgresql", "orders-postgresql-write", "orders-postgresql-read")


def passwords(*settings: str, name: str = "orders", namespace: str = "shop") -> list[str]:
    """Return the passwords of the migration, the consumer and the API, as in the data of their Secrets."""
    secrets = chart_secrets(render(name=name, settings=settings, namespace=namespace))
    return [secrets[login.replace("orders", name, 1)]["password"] for login in LOGINS]


def secret_lines(*options: str) -> list[str]:
    output = subprocess.check_output(["helm", "template", "orders", str(CHART), *options], text=True)  # noqa: S603, S607 - helm of the PATH
    return [line for line in output.splitlines() if "password:" in line]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_equal_values_render_equal_bytes(values: Path) -> None:
    render_again = render_yaml.__wrapped__
    assert render_again((values,)) == render_again((values,))


def test_the_passwords_are_random_if_helm_is_connected_to_a_cluster_and_no_seed_is_set() -> None:
    connected = ("--api-versions", "v1/Secret")  # as in the API versions of a cluster
    first, second = (secret_lines(*connected) for _ in "ab")
    assert len(first) == len(LOGINS)
    assert not set(first) & set(second)
    seeded = (*connected, "--set", "postgresql.passwordSeed=a")
    assert secret_lines(*seeded) == secret_lines(*seeded)


def test_a_seed_changes_every_password() -> None:
    assert not set(passwords()) & set(passwords("postgresql.passwordSeed=a"))
    assert not set(passwords("postgresql.passwordSeed=a")) & set(passwords("postgresql.passwordSeed=b"))


def test_releases_with_the_same_seed_have_different_passwords() -> None:
    seed = "postgresql.passwordSeed=a"
    assert not set(passwords(seed)) & set(passwords(seed, name="orders2"))
    assert not set(passwords(seed)) & set(passwords(seed, namespace="other"))
