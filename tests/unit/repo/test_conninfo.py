"""Connection strings and the sources of their passwords."""

import asyncio
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from service.config import PostgresSettings
from service.repo import passwords
from service.repo.connection_errors import phrase
from service.repo.conninfo import Conninfo, conninfo_of, listen_conninfos
from service.repo.passwords import CachedToken, Parameters, PasswordUnavailable
from tests.kit.config import SECRET

DSN = "postgresql://shop@db:5433/orders?sslmode=require"


def password_in(conninfo: Conninfo) -> str | None:
    password = conninfo_to_dict(conninfo.resolve()).get("password")
    return None if password is None else str(password)


def test_without_a_source_the_connection_string_is_unchanged() -> None:
    assert conninfo_of(PostgresSettings(dsn=DSN)).resolve() == DSN


def test_a_password_file_is_read_for_each_connection(tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text("first\n")
    conninfo = conninfo_of(PostgresSettings(dsn=DSN, password_file=file))
    assert password_in(conninfo) == "first"
    file.write_text("it's a 'second' \\ one")
    assert password_in(conninfo) == "it's a 'second' \\ one"
    kept = conninfo_to_dict(conninfo.resolve())
    assert (kept["host"], kept["port"], kept["user"], kept["sslmode"]) == ("db", "5433", "shop", "require")


def test_an_unreadable_password_file_counts_as_an_outage_and_is_named(tmp_path: Path) -> None:
    conninfo = conninfo_of(PostgresSettings(dsn=DSN, password_file=tmp_path / "none"))
    with pytest.raises(PasswordUnavailable) as raised:
        conninfo.resolve()
    assert raised.value.sqlstate is None
    assert phrase(raised.value) == "ORDERS_POSTGRES__PASSWORD_FILE cannot be read: No such file or directory"


def test_a_password_of_a_listen_dsn_takes_precedence(tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text("of-the-file")
    listen = '["postgresql://shop:own@a/orders", "postgresql://shop@b/orders"]'
    settings = PostgresSettings(dsn=DSN, listen_dsn=listen, password_file=file)
    assert [password_in(each) for each in listen_conninfos(settings)] == ["own", "of-the-file"]


def test_a_callback_gets_the_connection_parameters_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Parameters] = []

    def callback(parameters: Parameters) -> tuple[str, float]:
        seen.append(parameters)
        return "token", 2_000_000_000.0

    monkeypatch.setenv("PGUSER", "of-the-environment")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    conninfo = Conninfo("postgresql://db/orders", CachedToken(callback, "SETTING", lambda: 1_999_999_000.0))
    assert password_in(conninfo) == "token"
    assert {"host": "db", "port": "5432", "user": "of-the-environment", "dbname": "orders"}.items() <= seen[0].items()
    assert SECRET not in str(seen)


def test_a_token_is_cached_until_shortly_before_it_expires() -> None:
    tokens = iter(range(9))
    now = [1_000.0]
    source = CachedToken(lambda _: (f"token-{next(tokens)}", now[0] + 900), "SETTING", lambda: now[0])
    assert [source({}), source({})] == ["token-0", "token-0"]
    now[0] += 900 - passwords.EXPIRY_MARGIN_SECONDS - 1
    assert source({}) == "token-0"
    now[0] += 1
    assert source({}) == "token-1"


def test_a_failed_callback_counts_as_an_outage_and_is_called_again() -> None:
    results: list[Any] = [("token", 1_900.0), None]
    source = CachedToken(lambda _: results.pop(), "ORDERS_POSTGRES__TOKEN_CALLBACK", lambda: 1_000.0)
    with pytest.raises(PasswordUnavailable) as raised:
        source({})
    assert phrase(raised.value) == "ORDERS_POSTGRES__TOKEN_CALLBACK failed with TypeError"
    assert source({}) == "token"


def test_the_event_loop_does_not_wait_for_a_password() -> None:
    def source(_: Parameters) -> str:
        assert current_thread() is not main_thread()
        return "password"

    assert "password=password" in asyncio.run(Conninfo(DSN, source).resolve_async())
