"""nginx in front of a schema registry, which requires TLS, a client certificate, and a user with a password."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.ports import HOST, free_port
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.kit.tls import Authority, Certificate

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOT_RUN = "nginx not found on PATH"
USER, PASSWORD = "orders", "registry-password"
START_SECONDS = 30.0
CONFIGURATION = """\
daemon off;
pid "{folder}/nginx.pid";
error_log stderr;
{user}
events {{}}
http {{
    access_log off;
    {temporary}
    server {{
        listen {host}:{port} ssl;
        ssl_certificate "{server.certificate}";
        ssl_certificate_key "{server.key}";
        ssl_client_certificate "{authority}";
        ssl_verify_client on;
        auth_basic registry;
        auth_basic_user_file "{folder}/users";
        location / {{ proxy_pass {registry}; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class SecuredRegistry:
    url: str
    authority: Path
    client: Certificate


@contextmanager
def secured(url: str, folder: Path) -> Iterator[SecuredRegistry]:
    """Run nginx in front of the registry with this URL."""
    program = PROGRAM or pytest.skip(NOT_RUN)
    authority, port, parts = Authority(folder), free_port(), urlsplit(url)
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    configuration = CONFIGURATION.format(
        folder=folder,
        user="user root;" if os.geteuid() == 0 else "",  # the worker's default user may have no access to the folder
        temporary=" ".join(
            f'{name}_temp_path "{folder}/{name}";' for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ),
        host=HOST,
        port=port,
        server=authority.sign("server"),
        authority=authority.certificate,
        registry=f"{parts.scheme}://{parts.netloc}",
    )
    (folder / "nginx.conf").write_text(configuration)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with Process("nginx", command, folder / "nginx.log") as process:
        process.wait_until(lambda: _listens(port), START_SECONDS, ShutdownEvent())
        yield SecuredRegistry(f"https://localhost:{port}{parts.path}", authority.certificate, authority.sign("orders"))


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
