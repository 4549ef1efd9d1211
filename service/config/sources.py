"""The sources of settings: environment variables, and files in `ORDERS_SECRETS_DIR`."""

import os
from pathlib import Path
from typing import Final

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
)

from service.errors import InvalidSettings

PREFIX: Final = "ORDERS_"
DELIMITER: Final = "__"


def secrets_folder() -> str | None:
    return os.environ.get(f"{PREFIX}SECRETS_DIR") or None


def names() -> list[str]:
    """Return the names of all variables and files, of other programs too."""
    folder = secrets_folder()
    files = os.listdir(folder) if folder and os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - one call each
    return [*os.environ, *files]


def sources(
    settings_cls: type[BaseSettings], env_settings: EnvSettingsSource, file_secret_settings: PydanticBaseSettingsSource
) -> tuple[PydanticBaseSettingsSource, ...]:
    """Return the sources of settings, highest precedence first."""
    variables = _single_properties(settings_cls, env_settings), env_settings
    folder = secrets_folder()
    if folder is None:
        return variables
    files = _PrefixedSecrets(
        file_secret_settings,
        secrets_dir=folder,
        secrets_dir_missing="error",
        secrets_prefix=PREFIX,
        secrets_nested_delimiter=DELIMITER,
    )
    return *variables, _single_properties(settings_cls, files), files


class _PrefixedSecrets(NestedSecretsSettingsSource):
    """Reads only files whose names start with the prefix; other files in the folder may be unreadable or not text."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        files = (each for each in cls._iter_secret_files(path) if each.name.upper().startswith(PREFIX))
        return {str(each.relative_to(path)): _read_secret(each) for each in files}


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSettings(f"{path.name}: cannot read the file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path.name}: the file is not UTF-8 text") from None


def _single_properties(settings_cls: type[BaseSettings], source: EnvSettingsSource) -> InitSettingsSource:
    """Return the librdkafka properties that have their own variable or file.

    pydantic-settings alone would let the JSON override them, depending on the order of the environment.
    """
    prefix = f"{PREFIX}KAFKA{DELIMITER}PROPERTIES{DELIMITER}".lower()
    single = {name.removeprefix(prefix): text for name, text in source.env_vars.items() if name.startswith(prefix)}
    return InitSettingsSource(settings_cls, {"kafka": {"properties": single}} if single else {})
