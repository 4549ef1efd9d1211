"""Writes JSON schemas for kubeconform, derived from the sources of Kubernetes and of the operators."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
KEDA: Final = "github.com/kedacore/keda/v2@v2.18.1"
DEFINITIONS: Final = (
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    (KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    ("sigs.k8s.io/gateway-api@v1.4.0", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
)
INT_OR_STRING: Final = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"

Schema = dict[str, Any]


def write(folder: Path, kubernetes: str) -> None:
    """Write a strict schema for each kind to `<ResourceKind><KindSuffix>.json`. Blocks while Go downloads modules."""
    for name, schema in (*kubernetes_schemas(kubernetes), *operator_schemas()):
        (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")


def kubernetes_schemas(version: str) -> Iterator[tuple[str, Schema]]:
    swagger = module(f"k8s.io/kubernetes@v{version}") / "api/openapi-spec/swagger.json"
    sources: Schema = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    definitions = {name: strict(source) for name, source in sources.items()}
    definitions[QUANTITY] = {"type": ["string", "number"]}
    for name, source in sources.items():
        for kind in source.get("x-kubernetes-group-version-kind", []):
            schema = {"$ref": f"#/definitions/{name}", "definitions": reachable(name, definitions)}
            yield file_name(kind["group"], kind["version"], kind["kind"]), schema


def operator_schemas() -> Iterator[tuple[str, Schema]]:
    for source, file in DEFINITIONS:
        definition = yaml.load((module(source) / file).read_text(encoding="utf-8"), yaml.CSafeLoader)
        for version in definition["spec"]["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            yield file_name(definition["spec"]["group"], version["name"], definition["spec"]["names"]["kind"]), schema


def module(name: str) -> Path:
    """Return the folder of a Go module, downloading it if necessary. Raises CalledProcessError if that fails."""
    command = ["go", "mod", "download", "-json", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)  # noqa: S603
    return Path(json.loads(done.stdout)["Dir"])


def file_name(group: str, version: str, kind: str) -> str:
    """Return what kubeconform's template `{{.ResourceKind}}{{.KindSuffix}}` expands to."""
    return "-".join(part for part in (kind, group.split(".", maxsplit=1)[0], version) if part).lower()


def strict(node: Any) -> Any:
    """Return the schema without Kubernetes' extensions; objects with listed properties accept no others."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    kept = {key: strict(value) for key, value in node.items() if not str(key).startswith("x-kubernetes-")}
    open_ended = "additionalProperties" in kept or node.get("x-kubernetes-preserve-unknown-fields")
    return kept | (
        {"additionalProperties": False} if isinstance(kept.get("properties"), dict) and not open_ended else {}
    )


def reachable(name: str, definitions: Schema) -> Schema:
    """Return the definition `name` and those it refers to, directly or indirectly."""
    found: Schema = {}
    pending = [name]
    while pending:
        if (each := pending.pop()) not in found:
            found[each] = definitions[each]
            pending += references(definitions[each])
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"].rsplit("/", 1)[1]
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(each)
