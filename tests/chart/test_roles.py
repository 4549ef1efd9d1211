"""The scripts that run at each start of the chart's PostgreSQL, run by psql on a real server."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from local import postgres
from service.config import MigrationSettings
from service.repo.conninfo import Conninfo
from service.repo.schema.migrate import migrate
from tests.chart.helm import CHART, one, render
from tests.kit.factories import versioned
from tests.kit.psql import psql
from tests.kit.roles import ACLS, Logins, assert_privileges_are_exact, rows
from tests.kit.stores import store

ONE_LOGIN = ("postgresql.existingSecret=login",)
DATABASE = "shop"
USERS = {"USER": "shop", "WRITE_USER": "shop_write", "READ_USER": "shop_read"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[postgres.Postgres]:
    """A server with the superuser `postgres`, like the chart's."""
    with postgres.postgres(tmp_path / "server") as running:
        with psycopg.connect(running.dsn, autocommit=True) as admin:
            admin.execute("CREATE ROLE postgres SUPERUSER LOGIN")
        yield running


def prepare(server: postgres.Postgres, folder: Path, password: str, *settings: str) -> Logins:
    """Run the scripts of a release with these settings, using one password for all roles."""
    scripts = one(render(settings=settings), "ConfigMap", "orders-postgresql")["data"]
    for name, text in scripts.items():
        (folder / name).write_text(text)
    with psycopg.connect(server.dsn, autocommit=True) as admin:  # in the pod, the socket requires none
        admin.execute(f"ALTER ROLE postgres PASSWORD '{password}'")
    address = urlsplit(server.dsn)
    host = f"{address.hostname}:{address.port}"
    psql(
        "--username=postgres",
        f"--file={folder / 'prepare.sql'}",
        PGHOST=str(address.hostname),
        PGPORT=str(address.port),
        PGDATABASE="postgres",
        PGPASSWORD=password,
        ORDERS_DATABASE=DATABASE,
        **{f"ORDERS_{variable}": user for variable, user in USERS.items()},
        **{f"ORDERS_{variable.replace('USER', 'PASSWORD')}": password for variable in USERS},
    )
    superuser = address._replace(path=f"/{DATABASE}").geturl()
    return Logins(
        superuser, *(f"postgresql://{name}:{password}@{host}/{DATABASE}" for name in (*USERS.values(), "outsider"))
    )


def test_the_superuser_has_no_password(server: postgres.Postgres, tmp_path: Path) -> None:
    logins = prepare(server, tmp_path, "same")
    assert rows(logins.superuser, "SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'") == [(None,)]


def test_a_new_volume_gets_three_roles_whose_passwords_follow_the_secrets(
    server: postgres.Postgres, tmp_path: Path
) -> None:
    migrate(Conninfo(prepare(server, tmp_path, "first").migrate), MigrationSettings())
    logins = prepare(server, tmp_path, "second")
    assert_privileges_are_exact(logins)
    for login in (logins.migrate, logins.write, logins.read):
        assert rows(login, "SELECT order_uid FROM orders") == []
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(login.replace("second", "first"))


def test_a_restart_with_the_same_secrets_changes_nothing(server: postgres.Postgres, tmp_path: Path) -> None:
    logins = prepare(server, tmp_path, "same")
    migrate(Conninfo(logins.migrate), MigrationSettings())
    before = rows(logins.superuser, ACLS)
    prepare(server, tmp_path, "same")
    assert rows(logins.superuser, ACLS) == before


def test_the_server_writes_little_wal(server: postgres.Postgres, tmp_path: Path) -> None:
    """An image whose PostgreSQL was built without lz4 must start all the same."""
    superuser = prepare(server, tmp_path, "same", "postgresql.maxWalSize=3Gi").superuser
    applied: dict[str, str] = dict(
        rows(superuser, "SELECT name, setting FROM pg_file_settings WHERE applied AND error IS NULL")
    )
    has_lz4 = rows(superuser, "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'") == [
        (True,)
    ]
    assert applied["max_wal_size"] == "3072MB"
    assert applied["checkpoint_timeout"] == "30min"
    assert applied["wal_compression"] == ("lz4" if has_lz4 else "off")


def test_a_volume_of_a_release_with_one_login_is_upgraded(server: postgres.Postgres, tmp_path: Path) -> None:
    before = prepare(server, tmp_path, "same", *ONE_LOGIN)
    migrate(Conninfo(before.migrate), MigrationSettings())
    store(before.migrate, versioned(order_uid="old"))
    logins = prepare(server, tmp_path, "same")
    assert_privileges_are_exact(logins)
    store(logins.write, versioned(order_uid="new"))
    assert rows(logins.read, "SELECT order_uid FROM orders ORDER BY 1") == [("new",), ("old",)]


def test_the_config_map_has_the_published_script() -> None:
    script = one(render(), "ConfigMap", "orders-postgresql")["data"]["roles.sql"]
    assert script.strip() == (CHART / "files" / "roles.sql").read_text(encoding="utf-8").strip()
