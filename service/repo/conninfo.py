"""Connection strings whose password may differ for each connection."""

import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo as LibpqConninfo

from service.pkg.run_with_timeout import run_in_daemon_thread
from service.repo.passwords import CachedToken, Parameters, PasswordFile, PasswordSource

if TYPE_CHECKING:
    from service.config import PostgresSettings

PASSWORD_FILE: Final = "ORDERS_POSTGRES__PASSWORD_FILE"  # noqa: S105 - the name of a setting
TOKEN_CALLBACK: Final = "ORDERS_POSTGRES__TOKEN_CALLBACK"  # noqa: S105 - the name of a setting
_DEFAULT_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_SECRETS: Final = {"password", "sslpassword", "oauth_client_secret"}


@dataclass(frozen=True, slots=True)
class Conninfo:
    """A connection string or URL, the source of its password, and the timeout for connecting in seconds.

    Without a source, libpq finds the password itself.
    """

    dsn: str
    password: PasswordSource | None = None
    connect_timeout: float = _DEFAULT_CONNECT_TIMEOUT_SECONDS

    @property
    def whole_connect_timeout(self) -> int:
        """The timeout as libpq accepts it."""
        return max(1, round(self.connect_timeout))

    def resolve(self) -> str:
        """Return the connection string for a new connection. May block. Raises PasswordUnavailable."""
        if self.password is None:
            return self.dsn
        return make_conninfo(self.dsn, password=self.password(_parameters(self.dsn)))

    async def resolve_async(self) -> str:
        """As `resolve`, but never block the event loop."""
        return self.dsn if self.password is None else await run_in_daemon_thread(self.resolve)


def conninfo_of(postgres: "PostgresSettings", dsn: str | None = None) -> Conninfo:
    """Return `dsn` (default: that of the settings). A password in it takes precedence over the settings' source."""
    dsn = dsn or postgres.dsn
    password = None if conninfo_to_dict(dsn).get("password") else _source(postgres)
    return Conninfo(dsn, password, postgres.connect_timeout)


def listen_conninfos(postgres: "PostgresSettings") -> list[Conninfo]:
    """Return one direct connection for each server that writers connect to."""
    return [conninfo_of(postgres, dsn) for dsn in postgres.listen_dsns]


def _source(postgres: "PostgresSettings") -> PasswordSource | None:
    if postgres.password_file:
        return PasswordFile(postgres.password_file, PASSWORD_FILE)
    if postgres.token_callback:
        return CachedToken(pkgutil.resolve_name(postgres.token_callback), TOKEN_CALLBACK)
    return None


def _parameters(dsn: str) -> Parameters:
    """Return the parameters of the connection string, libpq's variables (`PGUSER`) and its defaults."""
    defaults = {option.keyword.decode(): option.val.decode() for option in LibpqConninfo.get_defaults() if option.val}
    given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    return {name: value for name, value in (defaults | given).items() if name not in _SECRETS}
