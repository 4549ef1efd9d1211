"""Settings that are loaded from the environment and from files."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.config import Settings, load
from service.errors import InvalidSettings

SECRET = "hunter2-and-more"  # noqa: S105 - must never appear in any output


def unset_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the developer's shell."""
    for name in [*os.environ]:
        if name.startswith("ORDERS_"):
            monkeypatch.delenv(name)


def load_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load()


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(InvalidSettings) as refused:
        load_with(monkeypatch, **variables)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    return str(refused.value)


def setting(settings: Settings, variable: str) -> Any:
    value: Any = settings
    for name in variable.removeprefix("ORDERS_").lower().split("__"):
        value = getattr(value, name)
    return value


def secrets(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Path:
    """Write files as Kubernetes mounts a Secret: symbolic links into a directory that is replaced atomically."""
    data = folder / "..2026_11_23_10_00_00.1"
    data.mkdir()
    (folder / "..data").symlink_to(data.name)
    for name, text in files.items():
        (data / name).write_text(text)
        (folder / name).symlink_to(Path("..data") / name)
    monkeypatch.setenv("ORDERS_SECRETS_DIR", str(folder))
    return folder
