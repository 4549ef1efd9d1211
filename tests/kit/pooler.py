"""A real PgBouncer in front of PostgreSQL."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from local.ports import HOST, free_port
from local.postgres import shared_temporary_folder, unprivileged_account
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NOT_RUN = "pgbouncer not found on PATH"
START_SECONDS = 30.0


@contextmanager
def pgbouncer(dsn: str, log: Path, mode: str = "transaction") -> Iterator[str]:
    """Run PgBouncer in front of the server of a URL, and yield the URL of the same database through it.

    It does not support prepared statements, and reuses the most recently released server connection first.
    """
    parts = urlsplit(dsn)
    port = free_port()
    through = f"postgresql://{parts.username}@{HOST}:{port}{parts.path}"
    with tempfile.TemporaryDirectory(prefix="orders-pgbouncer-", dir=shared_temporary_folder()) as folder:
        account = unprivileged_account() if os.geteuid() == 0 else None  # PgBouncer refuses to run as root
        config = Path(folder) / "pgbouncer.ini"
        config.touch(mode=0o600)
        config.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port}"
            f" user={parts.username} password={parts.password}\n"
            f"[pgbouncer]\nlisten_addr={HOST}\nlisten_port={port}\nunix_socket_dir=\nauth_type=any\npool_mode={mode}\n"
        )
        for path in (folder, config):
            if account:
                os.chown(path, *account)
        command = [PROGRAM or pytest.skip(NOT_RUN), str(config)]
        with Process("PgBouncer", command, log, account=account) as process:
            process.wait_until(lambda: _accepts_connections(through), START_SECONDS, ShutdownEvent())
            yield through


def _accepts_connections(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
