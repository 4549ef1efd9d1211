"""A schema registry with Confluent's API: Apicurio Registry, with its schemas in memory."""

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from local import jars
from local.jars import Jar
from local.java import java
from local.ports import HOST, free_port
from local.process import Process, running
from service.pkg.shutdown_event import ShutdownEvent

PACKAGE = Jar(
    "io.apicurio",
    "apicurio-registry-app",
    "2.6.13.Final",
    "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
    "tar.gz",
    "all",
)
"""The last series that runs on Java 17."""
START_SECONDS = 90.0  # 4 s on an idle machine
REQUEST_SECONDS = 60.0
OPTIONS = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


class Registry:
    """A process that can be stopped and started again, then without its schemas; or suspended, then with them."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.url = f"http://{HOST}:{port}/apis/ccompat/v7"

    def start(self) -> None:
        self._process.start()
        self._process.wait_until(self._answers, START_SECONDS, ShutdownEvent())

    def stop(self) -> None:
        self._process.stop()

    def register(self, subject: str, kind: str, schema: str | Mapping[str, Any], **more: Any) -> int:
        """Register a schema, and return its id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        body = {"schema": text, "schemaType": kind, **more}
        response = httpx2.post(f"{self.url}/subjects/{subject}/versions", json=body, timeout=REQUEST_SECONDS)
        return int(response.raise_for_status().json()["id"])

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/schemas/types").is_success
        except httpx2.TransportError:
            return False


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Run a registry on a free port. Takes 4 s if its files are cached."""
    port = free_port()
    home = _installed()
    properties = {"quarkus.http.host": HOST, "quarkus.http.port": port, "java.io.tmpdir": folder}
    options = [*OPTIONS, *(f"-D{name}={value}" for name, value in properties.items())]
    program = home / f"{PACKAGE.artifact}-{PACKAGE.version}-runner.jar"
    process = Process("Apicurio Registry", [str(java()), *options, "-jar", str(program)], folder / "registry.log")
    with running(Registry(process, port)) as started:
        yield started


def _installed() -> Path:
    """Return the folder of the unpacked package; download and unpack it if it is not cached."""
    cache = jars.cache_folder()
    home = cache / f"{PACKAGE.artifact}-{PACKAGE.version}"
    if not home.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if not PACKAGE.is_in(cache):
            jars.download([PACKAGE], cache, ShutdownEvent())
        with tempfile.TemporaryDirectory(dir=cache) as name, tarfile.open(cache / PACKAGE.file_name) as files:
            files.extractall(Path(name, "content"), filter="data")
            if not home.exists():  # otherwise another process was first
                Path(name, "content").rename(home)
        (cache / PACKAGE.file_name).unlink(missing_ok=True)
    return home
