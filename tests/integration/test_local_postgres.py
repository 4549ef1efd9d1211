"""Each test runs as whoever runs the tests, and once more as an ordinary user where that is root."""

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
    """The folder of temporary files: empty, and as open as the real one, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.fixture
def package(temporary: Path) -> Path:
    """A copy of the wheel's files that everybody may enter, wherever the virtual environment is."""
    site = temporary / "site"
    site.mkdir()
    return embedded._copy(embedded.package_folder(), site)


@pytest.fixture(params=["ourselves", "an ordinary user"])
def folder(
    request: pytest.FixtureRequest, temporary: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder of the one who runs the test."""
    folder = temporary / "folder"
    folder.mkdir()
    if request.param == "ourselves" or os.geteuid() != 0:
        yield folder
        return
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    monkeypatch.setattr(embedded, "package_folder", lambda: package)
    with_root = os.getgroups()
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, 0)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, 0)
    yield folder
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.setgroups(with_root)


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


def test_a_server_that_was_killed_and_one_that_was_stopped_come_back_with_port_and_data(server: Postgres) -> None:
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


def test_a_frozen_server_answers_nothing_until_it_is_thawed(server: Postgres) -> None:
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


def test_nothing_but_logs_is_left_behind(folder: Path, temporary: Path) -> None:
    before = set(temporary.iterdir())
    with postgres(folder) as server:
        assert len({*temporary.iterdir(), *folder.iterdir()} - before) > 2, "data and logs are somewhere"
    assert set(temporary.iterdir()) == before
    assert {path.name for path in folder.iterdir()} == {"initdb.log", "postgresql.log"}
    assert is_free(port_of(server))


def test_nothing_but_logs_is_left_behind_by_a_server_that_was_killed(folder: Path, temporary: Path) -> None:
    before = set(temporary.iterdir())
    with postgres(folder) as server:
        server.kill()
    assert set(temporary.iterdir()) == before


def test_nobody_comes_in_without_the_password(server: Postgres) -> None:
    stranger = f"postgresql://orders:guess@{HOST}:{port_of(server)}/orders"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stranger)


def test_a_taken_port_is_an_error_that_names_it(folder: Path) -> None:
    with closing(socket()) as holder:
        holder.bind((HOST, 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with (
            pytest.raises(ServerUnavailable, match=f"port {taken} for PostgreSQL: address already in use"),
            postgres(folder, port=taken),
        ):
            pass


def test_a_given_port_and_name_are_used(folder: Path) -> None:
    with postgres(folder, database="elsewhere") as first:
        port = port_of(first)
    with postgres(folder, port=port, database="elsewhere") as second, psycopg.connect(second.dsn) as connection:
        assert (port_of(second), connection.info.dbname) == (port, "elsewhere")


def test_a_virtual_environment_that_others_cannot_enter_is_no_obstacle_and_stays_closed(
    temporary: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = package.parent
    site.chmod(0o700)
    monkeypatch.setattr(embedded, "package_folder", lambda: package)
    folder = temporary / "closed"
    folder.mkdir(mode=0o700)
    with postgres(folder) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert [path.stat().st_mode & 0o777 for path in (site, folder)] == [0o700, 0o700]


def test_without_the_wheel_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)
    with pytest.raises(ServerUnavailable, match=r"install this project's extra `demo`"), postgres(tmp_path):
        pass


def test_a_closed_folder_of_temporary_files_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert embedded.shared_temporary_folder() != tmp_path


def port_of(server: Postgres) -> int:
    port = urlsplit(server.dsn).port
    assert port
    return port
