"""skaffold.yaml matches its schema and the chart. Skaffold itself runs too if it is installed."""

import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.chart.helm import CHART, ROOT, render

SKAFFOLD: Final = shutil.which("skaffold") or ""
TEXT: Final = {"type": "string"}
TEXTS: Final = {"type": "array", "items": TEXT}
FLAG: Final = {"type": "boolean"}


def closed(*required: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def array_of(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


# An excerpt of docs-v2/content/en/schemas/v4beta13.json in GoogleContainerTools/skaffold (Skaffold 2.15).
ARTIFACT: Final = closed(
    "image", image=TEXT, context=TEXT, docker=closed(dockerfile=TEXT, target=TEXT, buildArgs={"type": "object"})
)
RELEASE: Final = closed(
    "name",
    name=TEXT,
    chartPath=TEXT,
    valuesFiles=TEXTS,
    namespace=TEXT,
    setValues={"type": "object"},
    setValueTemplates={"type": "object", "additionalProperties": TEXT},
    createNamespace=FLAG,
    wait=FLAG,
    skipBuildDependencies=FLAG,
)
FORWARD: Final = closed(
    resourceType={"enum": ["Service", "Pod", "Deployment", "StatefulSet", "Job"]},
    resourceName=TEXT,
    namespace=TEXT,
    port={"type": ["string", "integer"]},
    address=TEXT,
    localPort={"type": "integer"},
)
FILTER: Final = closed("groupKind", groupKind=TEXT, image=TEXTS, labels=TEXTS, podSpec=TEXTS)
V4BETA13: Final = closed(
    "apiVersion",
    "kind",
    apiVersion={"const": "skaffold/v4beta13"},
    kind={"const": "Config"},
    metadata=closed(name=TEXT),
    build=closed(
        artifacts=array_of(ARTIFACT), tagPolicy=closed(sha256=closed()), local=closed(push=FLAG, useBuildkit=FLAG)
    ),
    deploy=closed(helm=closed(releases=array_of(RELEASE))),
    portForward=array_of(FORWARD),
    resourceSelector=closed(allow=array_of(FILTER), deny=array_of(FILTER)),
)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def release(config: dict[str, Any]) -> dict[str, Any]:
    (only,) = config["deploy"]["helm"]["releases"]
    return dict(only)


@pytest.fixture(scope="module")
def image() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["image"])


def test_skaffold_yaml_matches_the_schema_of_its_api_version(config: dict[str, Any]) -> None:
    assert not list(Draft202012Validator(V4BETA13).iter_errors(config))


def test_skaffold_builds_the_image_of_the_chart(config: dict[str, Any], image: dict[str, Any]) -> None:
    (artifact,) = config["build"]["artifacts"]
    assert artifact["image"] == image["repository"]
    assert (ROOT / artifact["docker"]["dockerfile"]).is_file()


def test_skaffold_installs_the_chart_with_existing_values_files(release: dict[str, Any]) -> None:
    assert ROOT / release["chartPath"] == CHART
    assert all((ROOT / file).is_file() for file in release["valuesFiles"])


def test_a_built_image_overrides_the_values_and_without_one_they_stay(
    release: dict[str, Any], image: dict[str, Any]
) -> None:
    """Without `with`, a missing variable would render as `<no value>`."""
    name = image["repository"]
    assert release["setValueTemplates"] == {
        "image.repository": f"{{{{with .IMAGE_REPO_{name}}}}}{{{{.}}}}{{{{else}}}}{name}{{{{end}}}}",
        "image.tag": f"{{{{with .IMAGE_TAG_{name}}}}}{{{{.}}}}{{{{end}}}}",
        "image.digest": f"{{{{with .IMAGE_DIGEST_{name}}}}}{{{{.}}}}{{{{end}}}}",
    }


def test_each_build_creates_another_migration_job(release: dict[str, Any]) -> None:
    builds = (("image.tag=a",), ("image.tag=b",), ("image.tag=a", f"image.digest=sha256:{64 * 'c'}"))
    jobs = {migration(release, *build) for build in builds}
    assert len(jobs) == len(builds)


def test_skaffold_adds_no_labels_to_the_template_of_the_migration(config: dict[str, Any]) -> None:
    (denied,) = config["resourceSelector"]["deny"]
    assert denied == {"groupKind": "Job.batch", "labels": [".spec.template.metadata.labels"]}


def test_skaffold_forwards_ports_of_existing_services(config: dict[str, Any], release: dict[str, Any]) -> None:
    ports = {
        (each["kind"], each["metadata"]["name"], port["port"])
        for each in rendered(release)
        if each["kind"] == "Service"
        for port in each["spec"]["ports"]
    }
    forwarded = {(each["resourceType"], each["resourceName"], each["port"]) for each in config["portForward"]}
    assert forwarded == {("Service", "orders-api", 80), ("Service", "orders-kafka", 9094)}
    assert forwarded <= ports


def test_kafka_is_forwarded_to_the_port_that_it_advertises(config: dict[str, Any]) -> None:
    (kafka,) = (each for each in config["portForward"] if each["resourceName"] == "orders-kafka")
    assert kafka["localPort"] == kafka["port"]


if SKAFFOLD:  # not a skip, because CI fails on skipped tests and cannot install Skaffold everywhere

    @pytest.mark.parametrize("command", [("diagnose", "--yaml-only"), ("render", "--digest-source=none", "--offline")])
    def test_skaffold_accepts_its_configuration(command: tuple[str, ...]) -> None:
        run = subprocess.run([SKAFFOLD, *command], cwd=ROOT, check=True, capture_output=True, timeout=120)  # noqa: S603
        assert b"<no value>" not in run.stdout


def rendered(release: dict[str, Any], *settings: str) -> list[dict[str, Any]]:
    return render(*(ROOT / file for file in release["valuesFiles"]), name=release["name"], settings=settings)


def migration(release: dict[str, Any], *settings: str) -> str:
    (name,) = (each["metadata"]["name"] for each in rendered(release, *settings) if each["kind"] == "Job")
    return str(name)
