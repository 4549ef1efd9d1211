"""Schemas for kubeconform, made from the sources of Kubernetes and of the operators."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.chart.rendered import KUBERNETES

OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
DEFINITIONS: Final = (
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    ("github.com/kedacore/keda/v2@v2.18.1", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    ("sigs.k8s.io/gateway-api@v1.4.0", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
)
EITHER: Final = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"

Schema = dict[str, Any]


def write(folder: Path) -> None:
    """Write a strict schema for each kind, `<ResourceKind><KindSuffix>.json`. Blocks while modules are fetched."""
    for name, schema in (*of_kubernetes(), *of_operators()):
        (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")


def of_kubernetes() -> Iterator[tuple[str, Schema]]:
    swagger = module(f"k8s.io/kubernetes@v{KUBERNETES}") / "api/openapi-spec/swagger.json"
    sources: Schema = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    definitions = {name: strict(source) for name, source in sources.items()}
    definitions[QUANTITY] = {"type": ["string", "number"]}
    for name, source in sources.items():
        for kind in source.get("x-kubernetes-group-version-kind", []):
            schema = {"$ref": f"#/definitions/{name}", "definitions": reachable(name, definitions)}
            yield file_name(kind["group"], kind["version"], kind["kind"]), schema


def of_operators() -> Iterator[tuple[str, Schema]]:
    for source, file in DEFINITIONS:
        definition = yaml.load((module(source) / file).read_text(encoding="utf-8"), yaml.CSafeLoader)
        for version in definition["spec"]["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            yield file_name(definition["spec"]["group"], version["name"], definition["spec"]["names"]["kind"]), schema


def module(name: str) -> Path:
    """Return the folder of a Go module; CalledProcessError where it can't be had."""
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)  # noqa: S603
    return Path(json.loads(done.stdout)["Dir"])


def file_name(group: str, version: str, kind: str) -> str:
    """Return what kubeconform's `ResourceKind` and `KindSuffix` make of them."""
    return "-".join(part for part in (kind, group.split(".", maxsplit=1)[0], version) if part).lower()


def strict(node: Any) -> Any:
    """Return the schema without Kubernetes' own words, closed wherever properties are listed."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string"):
        return EITHER
    kept = {key: strict(value) for key, value in node.items() if not str(key).startswith("x-kubernetes-")}
    open_ended = "additionalProperties" in kept or node.get("x-kubernetes-preserve-unknown-fields")
    return kept | (
        {"additionalProperties": False} if isinstance(kept.get("properties"), dict) and not open_ended else {}
    )


def reachable(name: str, definitions: Schema) -> Schema:
    """Return the definitions that one refers to, however far."""
    found: Schema = {}
    waiting = [name]
    while waiting:
        if (each := waiting.pop()) not in found:
            found[each] = definitions[each]
            waiting += references(definitions[each])
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"].rsplit("/", 1)[1]
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(each)
