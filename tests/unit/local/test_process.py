"""`tests/commands/test_local_process.py` tests processes."""

import pytest

from local.process import environment_without_settings


def test_a_service_inherits_the_environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_HTTP__PORT", "1")
    monkeypatch.setenv("LANG", "C")
    environment = environment_without_settings()
    assert "ORDERS_HTTP__PORT" not in environment
    assert environment["LANG"] == "C"
