"""The broker's jars: listed with their checksums, downloaded once per user, verified before each use."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from local.extra import INSTALL
from local.process import Process
from service.errors import ServerUnavailable
from service.pkg.polling import Echo
from service.pkg.shutdown_event import ShutdownEvent

_FETCH_SECONDS: Final = 600.0
_CONNECT_AND_READ_SECONDS: Final = (10.0, 60.0)
_AT_ONCE: Final = 6
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class Jar(NamedTuple):
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def is_in(self, folder: Path) -> bool:
        """Whether `folder` holds it, byte for byte."""
        try:
            return sha256((folder / self.file_name).read_bytes()).hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def listed() -> list[Jar]:
    lines = files("local").joinpath("kafka-jars.txt").read_text().splitlines()
    return [_jar(*line.split()) for line in lines if not line.startswith("#")]


def _jar(digest: str, coordinates: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, digest)


def version_of_kafka() -> str:
    return next(jar.version for jar in listed() if jar.artifact == "kafka-server")


def fetched(echo: Echo, stop: ShutdownEvent) -> list[Path]:
    """Return the files; download what is missing or damaged. Raises ServerUnavailable, Stopped."""
    cache = _cache()
    try:
        return _in_cache(cache, echo, stop)
    except OSError as error:
        raise ServerUnavailable(
            f"Kafka's jars can't be kept in {cache} ({error.strerror}): XDG_CACHE_HOME names another place for them"
        ) from error


def _cache() -> Path:
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # an account that no list knows, without HOME
        raise ServerUnavailable("Kafka's jars need a folder, and there is no home: set XDG_CACHE_HOME") from None
    return Path(home, "orders", "jars")


def _in_cache(cache: Path, echo: Echo, stop: ShutdownEvent) -> list[Path]:
    cache.mkdir(parents=True, exist_ok=True)
    jars = listed()
    if missing := [jar for jar in jars if not jar.is_in(cache)]:
        echo(f"fetching {len(missing)} jars of Apache Kafka {version_of_kafka()}, once, to {cache}")
        _fetch(missing, cache, stop)
    return [cache / jar.file_name for jar in jars]


def _fetch(jars: list[Jar], cache: Path, stop: ShutdownEvent) -> None:
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as name:
        folder = Path(name)
        _fetch_somehow(jars, folder, stop)
        for jar in jars:
            if not jar.is_in(folder):
                raise ServerUnavailable(f"{jar.coordinates} is not what was listed: its SHA-256 differs")
        for jar in jars:  # one by one and whole, so that two processes may do this at once
            (folder / jar.file_name).replace(cache / jar.file_name)


def _fetch_somehow(jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    """Fetch by Maven, which knows its user's mirrors and proxies, else by maven-artifact."""
    if maven := shutil.which("mvn"):
        try:
            _by_maven(maven, jars, folder, stop)
        except ServerUnavailable:
            if not find_spec("maven_artifact"):
                raise
        else:
            return
    _by_maven_artifact(jars, folder, stop)


def _by_maven(maven: str, jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    pom = folder / "pom.xml"
    pom.write_text(_pom(jars))
    options = [f"-DoutputDirectory={folder}", "-DexcludeTransitive=true"]
    Process("mvn", [maven, "-q", "-B", "-f", str(pom), _COPY, *options], folder / "mvn.log").run(_FETCH_SECONDS, stop)


def _pom(jars: Iterable[Jar]) -> str:
    dependencies = "".join(f"<dependency>{_element(jar)}</dependency>" for jar in jars)
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        "<groupId>orders</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def _element(jar: Jar) -> str:
    parts = {"groupId": jar.group, "artifactId": jar.artifact, "version": jar.version}
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())


def _by_maven_artifact(jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    if not find_spec("maven_artifact"):
        raise ServerUnavailable(f"neither mvn nor maven-artifact is here: {INSTALL}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(partial(_download, folder, stop), jars):
            pass


def _download(folder: Path, stop: ShutdownEvent, jar: Jar) -> None:
    from maven_artifact import Artifact, Downloader  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    stop.sleep(0)
    repository = Downloader()
    address = repository.resolver.uri_for_artifact(Artifact.parse(jar.coordinates))
    try:
        # Not its download(): that prints, and waits without end.
        content = repository.requestor.request(
            address, None, lambda answer: answer.content, timeout=_CONNECT_AND_READ_SECONDS
        )
    except OSError as error:  # what requests raises is one
        raise ServerUnavailable(f"{jar.coordinates} can't be fetched ({type(error).__name__})") from error
    (folder / jar.file_name).write_bytes(content)
