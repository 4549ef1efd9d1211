"""Manifests match the schemas of Kubernetes and of the operators; unknown fields are errors."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart import schemas
from tests.chart.helm import KUBERNETES, ROOT, render_yaml
from tests.chart.test_pods import RELEASES

PROGRAMS = ("kubeconform", "go")
NEWER_KUBERNETES = ("1.35.4", "1.36.3", "1.37.2")
"""The minor versions after KUBERNETES, on which the test cluster does not run."""
EXAMPLES = {file.stem: file for file in sorted((ROOT / "k8s" / "values").glob("*.yaml"))}
MANIFESTS = [
    ROOT / "k8s" / name
    for name in (
        "backup.yaml",
        "distribute.yaml",
        "erase.yaml",
        "generator.yaml",
        "kafka-ui.yaml",
        "kube-prometheus.yaml",
        "migrate.yaml",
        "restore.yaml",
        "skip-batch.yaml",
    )
]


@pytest.fixture(scope="module")
def schema_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(KUBERNETES, tmp_path_factory)


@pytest.fixture(scope="module", params=NEWER_KUBERNETES)
def newer_schema_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(request.param, tmp_path_factory)


def written(kubernetes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        pytest.skip(f"{' and '.join(missing)} not found on PATH")
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, kubernetes)
    return folder


def errors(manifests: str, schema_folder: Path) -> str:
    location = f"{schema_folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = ["kubeconform", "-strict", "-schema-location", location, "-"]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    return done.stdout + done.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_each_release_matches_the_schemas(release: str, schema_folder: Path) -> None:
    assert errors(render_yaml((RELEASES[release],)), schema_folder) == ""


@pytest.mark.parametrize("release", RELEASES)
def test_each_release_matches_the_schemas_of_newer_versions(release: str, newer_schema_folder: Path) -> None:
    assert errors(render_yaml((RELEASES[release],)), newer_schema_folder) == ""


@pytest.mark.parametrize("release", ["everything", "hardened", "tls"])
def test_names_that_look_like_numbers_stay_strings(release: str, schema_folder: Path) -> None:
    assert errors(render_yaml((RELEASES[release],), name="1e3", namespace="null"), schema_folder) == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_of_values_matches_the_schemas(name: str, schema_folder: Path) -> None:
    assert errors(render_yaml((EXAMPLES[name],)), schema_folder) == ""


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda file: file.stem)
def test_each_manifest_matches_the_schemas(manifest: Path, schema_folder: Path) -> None:
    assert errors(manifest.read_text(encoding="utf-8"), schema_folder) == ""


def test_unknown_fields_and_kinds_are_errors(schema_folder: Path) -> None:
    assert "additional properties 'replica' not allowed" in errors(
        render_yaml().replace("replicas:", "replica:"), schema_folder
    )
    assert "could not find schema for Deploy" in errors(render_yaml().replace("Deployment", "Deploy"), schema_folder)
