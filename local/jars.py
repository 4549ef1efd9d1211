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
from service.pkg.output import Echo
from service.pkg.shutdown_event import ShutdownEvent

_MAVEN_TIMEOUT_SECONDS: Final = 600.0
_CONNECT_AND_READ_TIMEOUT_SECONDS: Final = (10.0, 60.0)
_CONCURRENT_DOWNLOADS: Final = 6
_MAVEN_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class Jar(NamedTuple):
    """A jar, or another file of an artifact, with its type and classifier."""

    group: str
    artifact: str
    version: str
    sha256: str
    type: str = "jar"
    classifier: str = ""

    @property
    def coordinates(self) -> str:
        kind = f":{self.type}:{self.classifier}" if self.classifier else ""
        return f"{self.group}:{self.artifact}{kind}:{self.version}"

    @property
    def file_name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.type}"

    def is_in(self, folder: Path) -> bool:
        """Return whether `folder` contains the file, with the listed checksum."""
        return self._problem_in(folder) is None

    def require_in(self, folder: Path) -> None:
        """Raise ServerUnavailable unless `folder` contains the file, with the listed checksum."""
        if problem := self._problem_in(folder):
            raise ServerUnavailable(problem)

    def _problem_in(self, folder: Path) -> str | None:
        try:
            actual = sha256((folder / self.file_name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return f"{self.coordinates} was not downloaded"
        if actual != self.sha256:
            return f"checksum mismatch: the SHA-256 of {self.coordinates} differs from the list's"
        return None


def read_list() -> list[Jar]:
    return parse_list(files("local").joinpath("kafka-jars.txt").read_text())


def parse_list(text: str) -> list[Jar]:
    """Return the jars of lines with SHA-256 and Maven coordinates."""
    return [_jar(*line.split()) for line in text.splitlines() if not line.startswith("#")]


def _jar(digest: str, coordinates: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, digest)


def version_of_kafka() -> str:
    return next(jar.version for jar in read_list() if jar.artifact == "kafka-server")


def download_missing(echo: Echo, stop: ShutdownEvent) -> list[Path]:
    """Download jars that are missing from the cache or damaged; return the files. Raises ServerUnavailable, Stopped."""
    cache = cache_folder()
    try:
        return _download_missing(cache, echo, stop)
    except OSError as error:
        raise ServerUnavailable(
            f"cannot write Kafka's jars to {cache}: {error.strerror}. Set XDG_CACHE_HOME to another folder."
        ) from error


def cache_folder() -> Path:
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # HOME is not set, and the user has no entry in the password database
        raise ServerUnavailable("cannot cache Kafka's jars: no home directory. Set XDG_CACHE_HOME.") from None
    return Path(home, "orders", "jars")


def _download_missing(cache: Path, echo: Echo, stop: ShutdownEvent) -> list[Path]:
    cache.mkdir(parents=True, exist_ok=True)
    jars = read_list()
    if missing := [jar for jar in jars if not jar.is_in(cache)]:
        echo(f"downloading {len(missing)} jars of Apache Kafka {version_of_kafka()} to {cache} (only once)")
        download(missing, cache, stop)
    return [cache / jar.file_name for jar in jars]


def download(jars: list[Jar], cache: Path, stop: ShutdownEvent) -> None:
    """Download the jars, verify their checksums, and move them to the cache. Raises ServerUnavailable, Stopped."""
    with tempfile.TemporaryDirectory(prefix="download-", dir=cache) as name:
        folder = Path(name)
        _download(jars, folder, stop)
        for jar in jars:
            jar.require_in(folder)
        for jar in jars:  # each rename is atomic, so two processes may do this at the same time
            (folder / jar.file_name).replace(cache / jar.file_name)


def _download(jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    """Use Maven, because it has the user's mirrors and proxies; without it, use maven-artifact."""
    if maven := shutil.which("mvn"):
        try:
            _run_maven(maven, jars, folder, stop)
        except ServerUnavailable:
            if not find_spec("maven_artifact"):
                raise
        else:
            return
    _use_maven_artifact(jars, folder, stop)


def _run_maven(maven: str, jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    pom = folder / "pom.xml"
    pom.write_text(_pom(jars))
    options = [f"-DoutputDirectory={folder}", "-DexcludeTransitive=true"]
    command = [maven, "-q", "-B", "-f", str(pom), _MAVEN_GOAL, *options]
    Process("mvn", command, folder / "mvn.log").run(_MAVEN_TIMEOUT_SECONDS, stop)


def _pom(jars: Iterable[Jar]) -> str:
    dependencies = "".join(f"<dependency>{_element(jar)}</dependency>" for jar in jars)
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        "<groupId>orders</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


def _element(jar: Jar) -> str:
    parts = {
        "groupId": jar.group,
        "artifactId": jar.artifact,
        "version": jar.version,
        "type": jar.type,
        "classifier": jar.classifier,
    }
    # The plugin copies nothing for a dependency with an empty classifier.
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items() if value)


def _use_maven_artifact(jars: Iterable[Jar], folder: Path, stop: ShutdownEvent) -> None:
    if not find_spec("maven_artifact"):
        raise ServerUnavailable(f"cannot download Kafka's jars: neither mvn nor maven-artifact found: {INSTALL}")
    with ThreadPoolExecutor(_CONCURRENT_DOWNLOADS) as pool:
        for _ in pool.map(partial(_download_jar, folder, stop), jars):
            pass


def _download_jar(folder: Path, stop: ShutdownEvent, jar: Jar) -> None:
    from maven_artifact import Artifact, Downloader  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    stop.sleep(0)
    repository = Downloader()
    address = repository.resolver.uri_for_artifact(Artifact.parse(jar.coordinates))
    try:
        # Not repository.download(), which prints and has no timeout.
        content = repository.requestor.request(
            address, None, lambda response: response.content, timeout=_CONNECT_AND_READ_TIMEOUT_SECONDS
        )
    except OSError as error:  # the base of requests' exceptions
        raise ServerUnavailable(f"cannot download {jar.coordinates}: {type(error).__name__}") from error
    (folder / jar.file_name).write_bytes(content)
