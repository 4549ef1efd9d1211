"""Equal values render equal bytes, also without access to a cluster, as Argo CD requires."""

from pathlib import Path
from typing import Final

import pytest

from tests.chart.helm import ROOT, render, render_yaml
from tests.chart.test_pods import RELEASES, chart_secrets

VALUES: Final = {**RELEASES, **{file.stem: file for file in sorted((ROOT / "k8s" / "values").glob("*.yaml"))}}
LOGINS: Final = ("orders-postgresql", "orders-postgresql-write", "orders-postgresql-read")


def passwords(*settings: str, name: str = "orders", namespace: str = "shop") -> list[str]:
    """Return the passwords of the migration, the consumer and the API, as in the data of their Secrets."""
    secrets = chart_secrets(render(name=name, settings=settings, namespace=namespace))
    return [secrets[login.replace("orders", name, 1)]["password"] for login in LOGINS]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_equal_values_render_equal_bytes(values: Path) -> None:
    render_again = render_yaml.__wrapped__
    assert render_again((values,)) == render_again((values,))


def test_a_seed_changes_every_password() -> None:
    assert not set(passwords()) & set(passwords("postgresql.passwordSeed=a"))
    assert not set(passwords("postgresql.passwordSeed=a")) & set(passwords("postgresql.passwordSeed=b"))


def test_releases_with_the_same_seed_have_different_passwords() -> None:
    seed = "postgresql.passwordSeed=a"
    assert not set(passwords(seed)) & set(passwords(seed, name="orders2"))
    assert not set(passwords(seed)) & set(passwords(seed, namespace="other"))
