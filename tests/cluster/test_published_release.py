"""A release in a registry: signatures are verified, and Helm installs the chart, which pulls the image."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.ports import free_port, is_listening
from local.process import Process
from service.pkg.shutdown_event import ShutdownEvent
from tests.cluster.release import ROOT, Release, run

NODE_IS_THIS_MACHINE = shutil.which("prometheus-discovery")  # a program of tests/cluster/kubernetes
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        not NODE_IS_THIS_MACHINE, reason="only the node of tests/cluster/kubernetes pulls from localhost"
    ),
]

BUILD_SECONDS = 1800.0
"""How long cosign takes to build, the first time."""


@dataclass(frozen=True)
class Signer:
    """A key pair of cosign. Its signatures are not logged publicly, unlike those of the release workflow."""

    cosign: Path
    folder: Path

    def create_keys(self) -> None:
        self._run("generate-key-pair", "--output-key-prefix", str(self.folder / "key")).check_returncode()

    def sign(self, reference: str) -> None:
        key = ("--key", str(self.folder / "key.key"), "--tlog-upload=false", "--use-signing-config=false")
        self._run("sign", "--yes", *key, reference).check_returncode()

    def verifies(self, reference: str) -> bool:
        done = self._run("verify", "--key", str(self.folder / "key.pub"), "--insecure-ignore-tlog", reference)
        return done.returncode == 0

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COSIGN_PASSWORD": ""}
        command = [str(self.cosign), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603


@dataclass(frozen=True)
class Published:
    registry: str
    """HOST/OWNER, as in docs/releases.md."""
    references: list[str]
    """Image and chart, by digest."""


@pytest.fixture(scope="module")
def tools() -> Path:
    return Path(
        run(str(ROOT / ".ci" / "tools.sh"), "cosign", "helm3", "registry", within=BUILD_SECONDS).splitlines()[-1]
    )


@pytest.fixture(scope="module")
def signer(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return new_signer(tools, tmp_path_factory)


@pytest.fixture(scope="module")
def other_signer(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return new_signer(tools, tmp_path_factory)


def new_signer(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    signer = Signer(tools / "cosign", tmp_path_factory.mktemp("keys"))
    signer.create_keys()
    return signer


@pytest.fixture(scope="module")
def published(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Image and chart of this commit in a registry on this machine."""
    port = free_port()
    registry = f"localhost:{port}/release"
    log = tmp_path_factory.mktemp("registry") / "log"
    with Process("registry", [str(tools / "registry"), "-port", str(port)], log) as process:
        process.wait_until(lambda: is_listening(port), 30, ShutdownEvent())
        run("make", "--directory", str(ROOT), "package", f"IMAGE_REPOSITORY={registry}/orders", within=300)
        run(str(ROOT / ".ci" / "publish.sh"), registry, within=300)
        yield Published(registry, (ROOT / "dist" / "published.txt").read_text(encoding="utf-8").split())


def test_a_release_is_verified_and_installed_from_its_registry(
    release: Release, published: Published, signer: Signer, other_signer: Signer
) -> None:
    assert len(published.references) == 2
    assert [reference for reference in published.references if signer.verifies(reference)] == []
    for reference in published.references:
        signer.sign(reference)
    assert all(signer.verifies(reference) for reference in published.references)
    assert not any(other_signer.verifies(reference) for reference in published.references)
    release.install("--plain-http", chart=f"oci://{published.registry}/charts/orders")
    pods = release.pods("api") + release.pods("consumer")
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert images == {f"{published.registry}/orders:0.1.0"}
    release.helm("test", release.name)


def test_two_builds_of_the_image_have_the_same_layers() -> None:
    assert "image: two builds have the same" in run(str(ROOT / ".ci" / "reproducible-image.sh"), within=1200)
