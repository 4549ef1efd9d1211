"""Servers of `GET /orders/{order_uid}`: the API and its baselines."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import create_connection
from typing import Final, NamedTuple

from bench import baselines, usage
from bench.context import Context
from bench.fixtures import PATH, FixtureFiles
from bench.processes import MeasuredService, child
from local.ports import HOST, free_port
from local.process import Process
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

_LARGE_CACHE: Final = {"ORDERS_CACHE__MAX_BYTES": "1GiB", "ORDERS_CACHE__WARM_DEADLINE": "600"}
_STARTUP_TIMEOUT_SECONDS: Final = 30.0
_BUILD_TIMEOUT_SECONDS: Final = 300.0
_CONNECT_TIMEOUT_SECONDS: Final = 1.0
_WITHOUT_DOWNLOADS: Final = {"GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
_NGINX_FOLDERS: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_NGINX: Final = """\
daemon off;
worker_processes 1;
pid "{folder}/nginx.pid";
error_log stderr warn;
{user}
events {{}}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    open_file_cache max={files} inactive=1h;
    open_file_cache_valid 1h;
    default_type application/json;
    {temporary}
    server {{
        listen {host}:{port};
        root "{folder}";
        add_header Cache-Control "private, no-cache";
        add_header X-Cache hit;
    }}
}}
"""


class HttpServer(NamedTuple):
    name: str
    port: int
    pid: int
    admin_port: int | None = None
    """The port of its metrics; baselines have none."""

    @property
    def pids(self) -> list[int]:
        """The server and its workers."""
        return [self.pid, *usage.children(self.pid)]

    def resident_bytes(self) -> int:
        return usage.resident_bytes(self.pid)


Create = Callable[[Context, FixtureFiles, int], Process]
"""Returns a process, not started yet, that serves the files' documents on a port. Raises ServerUnavailable."""


@contextmanager
def orders_api(context: Context, dsn: str, settings: Mapping[str, str]) -> Iterator[HttpServer]:
    """Run `orders api` until the block ends. Its warm-up is finished. Raises ServerUnavailable."""
    servers = {"ORDERS_POSTGRES__DSN": dsn, "ORDERS_KAFKA__BOOTSTRAP_SERVERS": context.bootstrap_servers}
    api = MeasuredService(context, "api", {**servers, **_LARGE_CACHE, **settings})
    with api.process:
        api.wait_until_ready()
        yield _server("orders", api.port, api.process)._replace(admin_port=api.admin_port)


@contextmanager
def baseline(name: str, context: Context, files: FixtureFiles) -> Iterator[HttpServer]:
    """Run a baseline until the block ends. Raises ServerUnavailable, for example if it is not installed."""
    port = free_port()
    with BASELINES[name](context, files, port) as process:
        process.wait_until(partial(_listens, port), _STARTUP_TIMEOUT_SECONDS, ShutdownEvent())
        yield _server(name, port, process)


def _python(module: str, context: Context, files: FixtureFiles, port: int) -> Process:
    return child(context, module, [f"{baselines.__name__}.{module}", str(files.lines), str(port)], {})


def _go(context: Context, files: FixtureFiles, port: int) -> Process:
    program = context.folder / "go-baseline"
    if not program.exists():
        _build(context, _find_program("go"), program)
    return Process("go", [str(program), str(files.lines), str(port)], context.folder / "go.log")


def _build(context: Context, go: str, program: Path) -> None:
    source = Path(__file__).with_name("baselines") / "main.go"
    command = [go, "build", "-o", str(program), str(source)]
    environment = os.environ | _WITHOUT_DOWNLOADS
    context.echo("building the Go baseline; the first time takes a minute")
    Process("go build", command, context.folder / "go-build.log", environment=environment).run(
        _BUILD_TIMEOUT_SECONDS, ShutdownEvent()
    )


def _nginx(context: Context, files: FixtureFiles, port: int) -> Process:
    program = _find_program("nginx")
    served = files.folder / PATH.strip("/")
    served.mkdir()
    for uid, document in files.documents.items():
        (served / uid).write_bytes(document)
    configuration = files.folder / "nginx.conf"
    configuration.write_text(_nginx_configuration(files, port))
    return Process("nginx", [program, "-p", str(files.folder), "-c", str(configuration)], context.folder / "nginx.log")


def _nginx_configuration(files: FixtureFiles, port: int) -> str:
    temporary = (f'{name}_temp_path "{files.folder}/{name}";' for name in _NGINX_FOLDERS)
    return _NGINX.format(
        folder=files.folder,
        user="user root;" if os.geteuid() == 0 else "",  # the worker's default user may have no access to the folder
        files=len(files.documents),
        temporary=" ".join(temporary),
        host=HOST,
        port=port,
    )


def _find_program(program: str) -> str:
    """Return the path of a program in PATH or /usr/sbin. Raises ServerUnavailable."""
    path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
    if path is None:
        raise ServerUnavailable(f"{program} is not installed")
    return path


BASELINES: Final[Mapping[str, Create]] = {
    "fastapi": partial(_python, "plain_fastapi"),
    "asgi": partial(_python, "bare_asgi"),
    "go": _go,
    "nginx": _nginx,
}


def _server(name: str, port: int, process: Process) -> HttpServer:
    if process.pid is None:
        raise ServerUnavailable(f"{process.name} is not running")
    return HttpServer(name, port, process.pid)


def _listens(port: int) -> bool:
    try:
        create_connection((HOST, port), _CONNECT_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True
