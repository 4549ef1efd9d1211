"""What is rendered, against the schemas of Kubernetes and of the operators; unknown fields are refused."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart import schemas
from tests.chart.rendered import KUBERNETES, ROOT, rendered
from tests.chart.test_pods import RELEASES

NEEDED = ("kubeconform", "go")
EXAMPLES = {file.stem: file for file in sorted((ROOT / "k8s" / "values").glob("*.yaml"))}
MANIFESTS = [
    ROOT / "k8s" / name
    for name in ("erase.yaml", "generator.yaml", "kafka-ui.yaml", "kube-prometheus.yaml", "skip-batch.yaml")
]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        pytest.skip(f"there is no {' and no '.join(missing)} on the path")
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder)
    return folder


def complaints(manifests: str, known: Path) -> str:
    location = f"{known}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = ["kubeconform", "-strict", "-kubernetes-version", KUBERNETES, "-schema-location", location, "-"]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    return done.stdout + done.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_what_the_chart_renders_is_what_kubernetes_knows(release: str, known: Path) -> None:
    assert complaints(rendered((RELEASES[release],)), known) == ""


@pytest.mark.parametrize("release", ["everything", "hardened", "tls"])
def test_text_stays_text_where_names_look_like_numbers(release: str, known: Path) -> None:
    assert complaints(rendered((RELEASES[release],), name="1e3", namespace="null"), known) == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_examples_render_is_what_kubernetes_knows(name: str, known: Path) -> None:
    assert complaints(rendered((EXAMPLES[name],)), known) == ""


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda file: file.stem)
def test_manifests_are_what_kubernetes_knows(manifest: Path, known: Path) -> None:
    assert complaints(manifest.read_text(encoding="utf-8"), known) == ""


def test_an_unknown_field_and_an_unknown_kind_are_complained_of(known: Path) -> None:
    assert "additional properties 'replica' not allowed" in complaints(
        rendered().replace("replicas:", "replica:"), known
    )
    assert "could not find schema for Deploy" in complaints(rendered().replace("Deployment", "Deploy"), known)
