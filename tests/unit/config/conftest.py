"""No setting of the developer's shell."""

import os

import pytest


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("ORDERS_"):
            monkeypatch.delenv(name)
