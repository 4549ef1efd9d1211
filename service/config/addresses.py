"""Validates addresses in settings, before anything connects."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from service.pkg.network import MAX_PORT

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(\d{1,6})")
_SPACE: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_PORT_PROBLEM: Final = f"port must be between 1 and {MAX_PORT}"
_SSL_MODES: Final = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


def bootstrap_servers(text: str) -> str:
    """Return the list without spaces around its commas. Raises ValueError, whose text contains no part of the list."""
    entries = [entry.strip() for entry in text.split(",")]
    for number, entry in enumerate(entries, 1):
        if problem := _broker_problem(entry):
            raise ValueError(f"{problem} (entry {number} of {len(entries)}): use host:port,host:port")
    return ",".join(entries)


def dsn(text: str) -> str:
    """Return the connection string if libpq can parse it. Raises ValueError, whose text contains no part of it."""
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except ProgrammingError:
        raise ValueError(
            "not a libpq connection string: use a URL such as postgresql://user@host:5432/database"
        ) from None
    for problem in _dsn_problems(parameters):
        raise ValueError(problem)
    return text


def has_password(text: str) -> bool:
    """Return whether a valid connection string contains a password."""
    return bool(conninfo_to_dict(text).get("password"))


def dsns(text: str) -> list[str]:
    """Return the connection strings in a JSON list. Any other text is one connection string.

    Not separated by commas, because those also separate the hosts of one connection string. Raises ValueError, whose
    text contains no part of it.
    """
    if not text.lstrip().startswith("["):
        return [dsn(text)]
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("invalid JSON") from None
    if not entries or not all(isinstance(entry, str) for entry in entries):
        raise ValueError("a JSON list must contain connection strings")
    return [_entry(entry, number, len(entries)) for number, entry in enumerate(entries, 1)]


def dsn_list(text: str) -> str:
    """Return the text unchanged. Raises ValueError as `dsns` does."""
    dsns(text)
    return text


def web_url(text: str) -> str:
    """Return the URL if it is absolute, with http or https, and without a login. Raises ValueError without its text."""
    url = _parsed_url(text)
    if url is None:
        raise ValueError("not a web address: use a URL such as https://grafana.example.com/d/orders")
    if "@" in url.netloc:
        raise ValueError("the address must not contain a login, because the page shows it to everyone")
    return text


def registry_urls(text: str) -> str:
    """Return the list without spaces around its commas. Raises ValueError, whose text contains no part of the list."""
    entries = [entry.strip() for entry in text.split(",")]
    for number, entry in enumerate(entries, 1):
        url = _parsed_url(entry)
        if url is None:
            raise ValueError(
                f"not a web address (entry {number} of {len(entries)}): use http://host:port,http://host:port"
            )
        if "@" in url.netloc:
            raise ValueError(f"entry {number} of {len(entries)} contains a login: set username and password")
    return ",".join(entries)


def _parsed_url(text: str) -> SplitResult | None:
    """Return the parts of an absolute URL with http or https; None for other text."""
    try:
        url = urlsplit(text)
        is_valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0 and not _SPACE.search(text)
    except ValueError:
        return None
    return url if is_valid else None


def _entry(text: str, number: int, count: int) -> str:
    try:
        return dsn(text)
    except ValueError as error:
        raise ValueError(f"entry {number} of {count}: {error}") from None


def _broker_problem(entry: str) -> str | None:
    match = _BROKER.fullmatch(entry)
    if not entry:
        return "empty entry"
    if "://" in entry:
        return "a scheme is not allowed (set security.protocol in ORDERS_KAFKA__PROPERTIES)"
    if match is None:
        return "invalid address"
    return None if _is_port(match[2]) else _PORT_PROBLEM


def _dsn_problems(parameters: Mapping[str, str]) -> Iterator[str]:
    ports = parameters.get("port", "").split(",")
    hosts = max(parameters.get(name, "").count(",") + 1 for name in ("host", "hostaddr"))
    if not all(port == "" or _is_port(port) for port in ports):
        yield _PORT_PROBLEM
    if len(ports) not in {1, hosts}:
        yield "the number of ports must be 1 or equal the number of hosts"
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        yield f"sslmode must be one of {', '.join(sorted(_SSL_MODES))}"
    if not parameters.get("connect_timeout", "0").removeprefix("-").isdecimal():
        yield "connect_timeout must be a number of seconds"


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= MAX_PORT
