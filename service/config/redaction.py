"""The settings without secrets, for output."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from service.config.sources import DELIMITER, PREFIX

if TYPE_CHECKING:
    from service.config.settings import Settings

REDACTED: Final = "***"

SECRET_NAME: Final = re.compile(
    r"(?i)password|passphrase|secret|token|jaas|key[._]pem|credentials|keystore|api[._]key|oauthbearer[._]config|otlp.*headers"
)
PLAIN_NAME: Final = re.compile(r"(?i)[._](location|file|url|dir|callback|client[._]id)$")
"""Exceptions from `SECRET_NAME`: these only locate a secret. A test keeps the chart's `_validation.tpl` in sync."""

_URL: Final = re.compile(
    r"(?P<scheme>postgres(ql)?)://((?P<user>[^\s:@/?#]*)(:[^/?#]*)?@)?(?P<where>[^\s@/?#]*(/[^\s@/?#]*)?)(\?[^@#]*)?"
)


def redacted(settings: "Settings") -> dict[str, Any]:
    """Return the settings as plain values, with secrets replaced by `REDACTED`."""
    plain = settings.model_dump(mode="json")
    postgres = plain["postgres"]
    postgres["dsn"] = redacted_dsn(postgres["dsn"])
    listening = [redacted_dsn(each) for each in settings.postgres.listen_dsns] if postgres["listen_dsn"] else [None]
    postgres["listen_dsn"] = listening[0] if len(listening) == 1 else json.dumps(listening)
    registry = plain["registry"]
    plain["registry"] = {name: REDACTED if value and _is_secret(name) else value for name, value in registry.items()}
    properties = plain["kafka"]["properties"]
    plain["kafka"]["properties"] = {name: REDACTED if _is_secret(name) else value for name, value in properties.items()}
    return plain


def redacted_variables(settings: "Settings") -> dict[str, str]:
    """Return the name and the redacted value of each environment variable; an unset one is empty."""
    return dict(_variables(PREFIX.removesuffix("_"), "_", redacted(settings)))


def redacted_dsn(dsn: str | None) -> str | None:
    """Keep only user, host, port and database of a URL; replace any other connection string whole.

    A malformed URL is replaced whole too: an unescaped slash in a password would make part of it look like a path.
    """
    if not dsn:
        return dsn
    match = _URL.fullmatch(dsn)
    if match is None:
        return REDACTED
    user = f"{match['user']}@" if match["user"] else ""
    return f"{match['scheme']}://{user}{match['where']}"


def _is_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(name)) and not PLAIN_NAME.search(name)


def _variables(prefix: str, delimiter: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        variable = f"{prefix}{delimiter}{name.upper()}"
        if isinstance(value, dict) and name != "properties":
            yield from _variables(variable, DELIMITER, value)
        else:
            yield variable, value if isinstance(value, str) else "" if value is None else json.dumps(value)
