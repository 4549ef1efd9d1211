"""A real standby of an embedded PostgreSQL, optionally with delayed replay."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local.ports import HOST, free_port
from local.postgres import Postgres, installation, package_folder, server_process
from local.process import Process, running
from service.pkg.shutdown_event import ShutdownEvent

COPY_SECONDS = 60.0


@contextmanager
def standby(primary: Postgres, folder: Path, delay: str = "0") -> Iterator[Postgres]:
    """Run a standby that replays each commit after `delay`."""
    port, stop = free_port(), ShutdownEvent()
    with installation(folder, package_folder()) as files:
        command = [
            str(files.bin / "pg_basebackup"), f"--dbname={primary.dsn}", f"--pgdata={files.home / 'data'}",
            "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
        ]  # fmt: skip
        Process("pg_basebackup", command, folder / "pg_basebackup.log", account=files.account).run(COPY_SECONDS, stop)
        process = server_process(files, port, folder / "postgresql.log", {"recovery_min_apply_delay": delay})
        parts = urlsplit(primary.dsn)
        address = parts._replace(netloc=f"{parts.username}:{parts.password}@{HOST}:{port}", path="").geturl()
        with running(Postgres(process, address, parts.path.lstrip("/"), stop)) as server:
            yield server
