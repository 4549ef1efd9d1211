"""No setting of the developer's shell."""

import pytest

from tests.kit.config import unset_all


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    unset_all(monkeypatch)
