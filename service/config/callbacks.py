"""Validates settings that name a function of the user."""

import pkgutil
import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def importable(name: str) -> str:
    """Return the name. Raises ValueError if it is not `module:function`, or if it cannot be imported."""
    if not _NAME.fullmatch(name):
        raise ValueError("must be module:function")
    try:
        function = pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot import {name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        raise ValueError(f"cannot import {name}: {type(error).__name__}") from None
    if not callable(function):
        raise ValueError(f"{name} is not a function")  # noqa: TRY004 - pydantic's interface
    return name
