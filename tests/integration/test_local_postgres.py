"""PostgreSQL as a local process; if the tests run as root, each runs again as an unprivileged user."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

import psycopg
import pytest

from local import postgres as embedded
from local.ports import HOST, is_free
from local.postgres import Postgres, postgres
from service.errors import ServerUnavailable

pytestmark = pytest.mark.integration


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for temporary files with the permissions of /tmp, unlike pytest's `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def package(temporary: Path) -> Path:
    """A world-readable copy of the wheel's files, wherever the virtual environment is."""
    site_packages = temporary / "site_packages"
    site_packages.mkdir()
    return embedded._copy(embedded.package_folder(), site_packages)


@pytest.fixture(params=["current user", "unprivileged user"])
def folder(
    request: pytest.FixtureRequest, temporary: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder that the user who runs the test owns."""
    folder = temporary / "folder"
    folder.mkdir()
    if request.param == "current user" or os.geteuid() != 0:
        yield folder
        return
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    monkeypatch.setattr(embedded, "package_folder", lambda: package)
    groups_of_root = os.getgroups()
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, 0)
    os.setresuid(user.pw_uid, user.pw_uid, 0)
    yield folder
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.setgroups(groups_of_root)


@pytest.fixture
def server(folder: Path) -> Iterator[Postgres]:
    with postgres(folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        yield server


def kept(server: Postgres) -> int:
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row
    return int(row[0])


def test_a_killed_or_stopped_server_restarts_with_its_port_and_data(server: Postgres) -> None:
    server.kill()
    server.start()
    assert kept(server) == 42
    server.stop()
    server.start()
    assert kept(server) == 42


def test_a_stopped_server_refuses_connections(server: Postgres) -> None:
    server.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(server.dsn)


def test_a_frozen_server_does_not_respond_until_it_is_thawed(server: Postgres) -> None:
    server.freeze()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(server.dsn, connect_timeout=2)
    server.thaw()
    assert kept(server) == 42


def test_a_frozen_server_can_be_killed(server: Postgres) -> None:
    server.freeze()
    server.kill()
    server.start()
    assert kept(server) == 42


def test_a_stopped_server_leaves_only_logs(folder: Path, temporary: Path) -> None:
    before = set(temporary.iterdir())
    with postgres(folder) as server:
        assert len({*temporary.iterdir(), *folder.iterdir()} - before) > 2, "no data and logs found"
    assert set(temporary.iterdir()) == before
    assert {path.name for path in folder.iterdir()} == {"initdb.log", "postgresql.log"}
    assert is_free(port_of(server))


def test_a_killed_server_leaves_no_temporary_files(folder: Path, temporary: Path) -> None:
    before = set(temporary.iterdir())
    with postgres(folder) as server:
        server.kill()
    assert set(temporary.iterdir()) == before


def test_the_server_requires_the_password(server: Postgres) -> None:
    dsn = f"postgresql://orders:guess@{HOST}:{port_of(server)}/orders"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)


def test_a_port_in_use_is_reported(folder: Path) -> None:
    with closing(socket()) as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with (
            pytest.raises(ServerUnavailable, match=f"port {port} for PostgreSQL: address already in use"),
            postgres(folder, port=port),
        ):
            pass


def test_the_given_port_and_database_name_are_used(folder: Path) -> None:
    with postgres(folder, database="other") as first:
        port = port_of(first)
    with postgres(folder, port=port, database="other") as second, psycopg.connect(second.dsn) as connection:
        assert (port_of(second), connection.info.dbname) == (port, "other")


def test_the_server_starts_from_a_private_virtual_environment_without_changing_its_mode(
    temporary: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_packages = package.parent
    site_packages.chmod(0o700)
    monkeypatch.setattr(embedded, "package_folder", lambda: package)
    folder = temporary / "private"
    folder.mkdir(mode=0o700)
    with postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert [path.stat().st_mode & 0o777 for path in (site_packages, folder)] == [0o700, 0o700]


def test_without_the_wheel_the_error_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(ServerUnavailable, match=r"install this project's extra `demo`"), postgres(tmp_path):
        pass


def test_a_private_folder_for_temporary_files_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert embedded.shared_temporary_folder() != tmp_path


def port_of(server: Postgres) -> int:
    port = urlsplit(server.dsn).port
    assert port
    return port
