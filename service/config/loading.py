"""Loads the settings, and explains in one line what is invalid, without its value."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.config.settings import Settings, SettingsGroup
from service.config.sources import DELIMITER, PREFIX, names, secrets_folder
from service.errors import InvalidSettings


def load(**overrides: Any) -> Settings:
    """Read the settings from their sources; `overrides` replace whole groups. Raises InvalidSettings."""
    try:
        _reject_unknown_groups()
        return Settings(**overrides)
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_line, error.errors(include_input=False, include_url=False)))) from None
    except (SettingsError, OSError) as error:
        # Invalid JSON or a missing folder. The text of the original error may contain the value.
        raise InvalidSettings(_source_problem(error)) from None


def _reject_unknown_groups() -> None:
    """Raise InvalidSettings for an unknown group.

    Names without `__` are ignored: Kubernetes sets such variables for a Service named `orders`.
    """
    for name in names():
        group, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and delimiter and group.lower() not in Settings.model_fields:
            raise InvalidSettings(f"{name}: unknown setting")


def _line(problem: Any) -> str:
    names = [str(part) for part in problem["loc"]]
    variable = PREFIX + DELIMITER.join(names).upper() if names else "settings"
    message = (
        "unknown setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
    )
    return f"{variable}: {message[:1].lower()}{message[1:]}"


def _source_problem(error: Exception) -> str:
    folder = secrets_folder()
    if folder and not os.path.isdir(folder):  # noqa: PTH112 - one call
        return f"{PREFIX}SECRETS_DIR: not a directory"
    if isinstance(error, OSError):
        return f"{PREFIX}SECRETS_DIR: cannot read the directory ({error.strerror})"
    return "; ".join(f"{name}: invalid JSON" for name in _invalid_json(folder)) or "settings: invalid JSON"


def _invalid_json(folder: str | None) -> Iterator[str]:
    """Yield the variables and files with invalid JSON: pydantic names only their group."""
    for name in names():
        if _takes_json(name.upper()) and not _is_json(os.environ.get(name) or (Path(folder or "") / name).read_text()):
            yield name


def _takes_json(variable: str) -> bool:
    group, _, field = variable.removeprefix(PREFIX).lower().partition(DELIMITER)
    known = Settings.model_fields.get(group)
    if not variable.startswith(PREFIX) or known is None or not isinstance(known.default, SettingsGroup):
        return False
    info = type(known.default).model_fields.get(field)
    return not field or (info is not None and get_origin(info.annotation) in {dict, tuple})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
