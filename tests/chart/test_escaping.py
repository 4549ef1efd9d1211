"""Values and names that YAML could misread (numbers, booleans, quotes) reach the objects unchanged."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import pytest
from psycopg.conninfo import conninfo_to_dict

from service.config import Settings
from tests.chart.helm import CHART, Manifest, containers, of_kind, one, parse, pod_templates, render_yaml

INSTANCE: Final = "app.kubernetes.io/instance"
AWKWARD_TEXTS: Final = (
    "0123", "a: b", "true", "1e3", "x #y", "0x1f", "null", "on", "~", "12", "'\"{}\\[],&*!|>%@`", "two\nlines", "=",
    "  blanks  ", "- a", "? a", "1_000", "2001-01-01", ".inf", "0b11", "0o17", "<<", "1:20", "ünï 🦉", "*a", "no",
)  # fmt: skip
ODD_NAMES: Final = ("null", "true", "1e3", "0x1f", "12", "off", "7.0", "y", "my.shop", "r" * 53)
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
LIMITS: Final = {"limits": {"memory": "640Mi"}}
SCHEDULING: Final = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName")
MODES: Final[dict[str, dict[str, Any]]] = {
    "inside": {
        "kafka": {"enabled": True, "bootstrapServers": "", "sasl": None, "tls": None},
        "postgresql": {
            "enabled": True,
            "host": "",
            "existingSecret": "",
            "existingWriteSecret": "",
            "existingReadSecret": "",
            "tls": None,
        },
        "consumer": {"autoscaling": {"enabled": True}, "keda": {"enabled": False}},
        "migrations": {"mode": "job"},
        "retention": {"maxAge": "400d"},
    },
    "outside": {
        "api": dict.fromkeys(SCHEDULING),  # so that the chart's is used
        "kafka": {"enabled": False, "securityProtocol": "SASL_SSL", "sasl": {"mechanism": "PLAIN"}},
        "postgresql": {"enabled": False, "tls": {"mode": "verify-full"}},
        "consumer": {"keda": {"enabled": True}, "autoscaling": {"enabled": False}},
        "migrations": {"mode": "hook"},
        "retention": {"maxAge": "400d"},
    },
}


class Leaf(NamedTuple):
    """A value of type string, and the token that marks it in the rendered objects."""

    path: str
    token: str
    schema: dict[str, Any]

    def accepts(self, text: str) -> bool:
        # Object names start with it, so it must be a valid name.
        pattern = "^[a-z][a-z0-9]*$" if self.path == ".fullnameOverride" else self.schema.get("pattern", "")
        return len(text) >= self.schema.get("minLength", 0) and bool(re.search(pattern.replace("$", r"\Z"), text))


class Sample:
    """Values with a distinct token wherever the schema accepts text."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.values: dict[str, Any] = self._of(SCHEMA, "")

    def _of(self, schema: dict[str, Any], path: str) -> Any:
        """Return a sample value for the schema, or None to keep the default."""
        if "$ref" in schema:
            return self._of(SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]], path)
        if path.endswith(".resources"):
            return LIMITS
        if path == ".settings":
            return {"TZ": self._token(f"{path}.TZ", {})}
        kind = schema.get("type")
        builders = {"object": self._object, "array": self._array, "string": self._token}
        return builders[kind](path, schema) if kind in builders else (kind == "boolean" or None)

    def _array(self, path: str, schema: dict[str, Any]) -> list[Any] | None:
        item = self._of(schema.get("items", {}), f"{path}[]")  # alternatives of items: keep the default
        return None if item is None else [item]

    def _object(self, path: str, schema: dict[str, Any]) -> dict[str, Any]:
        if "properties" not in schema:
            return {str(self._token(f"{path}.KEY", {})): self._token(f"{path}.VALUE", {})}
        found = {name: self._of(each, f"{path}.{name}") for name, each in schema["properties"].items()}
        return {name: value for name, value in found.items() if value is not None}

    def _token(self, path: str, schema: dict[str, Any]) -> str | None:
        leaf = Leaf(path, f"zq{len(self.leaves):03}", schema)
        if not leaf.accepts(leaf.token):
            return None
        self.leaves.append(leaf)
        return leaf.token


@cache
def sample() -> Sample:
    return Sample()


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `values` overridden by `over`, recursively; None removes a value."""
    kept = {name: value for name, value in values.items() if over.get(name, value) is not None}
    return kept | {
        name: merged(values.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in over.items()
        if value is not None
    }


def replaced(node: Any, texts: dict[str, str]) -> Any:
    """Return the tree with each token replaced by its text, in keys too."""
    match node:
        case dict():
            return {replaced(key, texts): replaced(value, texts) for key, value in node.items()}
        case list():
            return [replaced(each, texts) for each in node]
        case str():
            return re.sub(r"zq\d{3}", lambda token: texts.get(token[0], token[0]), node)
    return node


def objects(values: dict[str, Any], folder: Path, name: str = "zq900", namespace: str = "zq901") -> list[Manifest]:
    file = folder / "values.json"
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    try:
        return parse(render_yaml.__wrapped__((file,), name=name, namespace=namespace))
    except CalledProcessError as error:
        raise AssertionError(error.stderr) from None


@cache
def with_tokens(mode: str, folder: Path) -> list[Manifest]:
    """Return the objects rendered with the tokens."""
    return objects(merged(sample().values, MODES[mode]), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


def comparable(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the objects by kind and name, without derived passwords and checksums."""
    found = {}
    for each in manifests:
        name = re.sub(r"-migrate-(hook|[0-9a-f]{10})$", "-migrate", each["metadata"]["name"])
        found[f"{each['kind']}/{name}"] = each | {"metadata": each["metadata"] | {"name": name}}
    for each in of_kind(list(found.values()), "Secret"):
        each["data"] = sorted(each["data"], key=str)
    for pod in pod_templates(list(found.values())):
        for name in [name for name in pod["metadata"].get("annotations", {}) if str(name).startswith("checksum/")]:
            pod["metadata"]["annotations"][name] = type(pod["metadata"]["annotations"][name]).__name__
    return {name: addresses_decoded(each) for name, each in found.items()}


def addresses_decoded(node: Any) -> Any:
    """Return the tree with PostgreSQL URLs percent-decoded, as libpq reads them."""
    match node:
        case dict():
            return {key: addresses_decoded(value) for key, value in node.items()}
        case list():
            return [addresses_decoded(each) for each in node]
        case str() if node.startswith("postgresql://"):
            return unquote(node)
    return node


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys(), key=str):
            yield from differences(expected.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif expected != found or type(expected) is not type(found):
        yield f"{path}: {found!r}, not {expected!r}"


def texts_for(offset: int) -> dict[str, str]:
    """Return a text for each token; each offset gives other texts."""
    texts = {}
    for number, leaf in enumerate(sample().leaves):
        accepted = [text for text in AWKWARD_TEXTS if leaf.accepts(text)]
        texts[leaf.token] = accepted[(number + offset) % len(accepted)]
    namespaces = ("null", "1e3", "true", "0x1f", "12")
    return texts | {"zq900": ODD_NAMES[offset % len(ODD_NAMES)], "zq901": namespaces[offset % 5]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offset", range(6))
def test_every_text_reaches_the_objects_unchanged(mode: str, offset: int, folder: Path) -> None:
    """Rendering awkward texts gives the same as rendering plain tokens and replacing these afterwards."""
    values, texts = merged(sample().values, MODES[mode]), texts_for(offset)
    expected = comparable(replaced(with_tokens(mode, folder), texts))
    found = objects(replaced(values, texts), folder, texts["zq900"], texts["zq901"])
    assert list(differences(expected, comparable(found))) == []


def test_every_text_value_of_the_schema_is_used_in_an_object(folder: Path) -> None:
    rendered = "".join(json.dumps(with_tokens(mode, folder)) for mode in MODES)
    missing = {leaf.path for leaf in sample().leaves if leaf.token not in rendered}
    assert missing == {".global.KEY", ".global.VALUE", ".nameOverride", ".postgresql.passwordSeed"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_release_name_gives_valid_names_and_labels(name: str) -> None:
    found = parse(render_yaml((CHART / "ci" / "everything-values.yaml",), name=name, namespace="null"))
    for each in found:
        assert_has_valid_name(each)
        assert each["metadata"]["labels"][INSTANCE] == name
    for pod in pod_templates(found):
        assert pod["metadata"]["labels"][INSTANCE] == name
        assert isinstance(pod["spec"].get("serviceAccountName", ""), str)
    for each in of_kind(found, "Deployment", "StatefulSet", "PodDisruptionBudget"):
        assert each["spec"]["selector"]["matchLabels"][INSTANCE] == name
    for each in of_kind(found, "Service"):
        assert each["spec"]["selector"][INSTANCE] == name


@pytest.mark.parametrize("value", ["fullnameOverride", "nameOverride"])
@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "a.b", "n" * 39 + "-n"])
def test_any_name_override_gives_valid_names(value: str, name: str, tmp_path: Path) -> None:
    for each in objects({value: name}, tmp_path, "12", "shop"):
        assert_has_valid_name(each)


def assert_has_valid_name(each: Manifest) -> None:
    name = each["metadata"]["name"]
    assert isinstance(name, str), name
    # A Service's name is a DNS label, which must start with a letter.
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name), name


def test_a_storage_size_is_not_read_as_octal(tmp_path: Path) -> None:
    """As an octal number, 010 would be 8."""
    values = {"kafka": {"persistence": {"size": "010"}}}
    (claim,) = one(objects(values, tmp_path), "StatefulSet", "zq900-orders-kafka")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "010"


def test_dollar_signs_in_settings_are_not_variable_references(tmp_path: Path) -> None:
    found = objects({"settings": {"TZ": "$(PGPASSWORD) $$ $"}}, tmp_path)
    (migrate,) = containers(one(found, "Job")["spec"]["template"])
    (value,) = (each["value"] for each in migrate["env"] if each["name"] == "TZ")
    assert value.replace("$$", "$") == one(found, "ConfigMap", "zq900-orders")["data"]["TZ"] == "$(PGPASSWORD) $$ $"


@pytest.mark.parametrize("database", ["my shop", "a/b", "a?b", "a#b", "50%", "a+b", "ünï", "u:s@h"])
def test_the_service_accepts_any_database_name(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = one(objects({"postgresql": {"database": database}}, tmp_path), "ConfigMap", "zq900-orders")["data"]
    monkeypatch.setenv("ORDERS_POSTGRES__DSN", found["ORDERS_POSTGRES__DSN"])
    assert conninfo_to_dict(Settings().postgres.dsn)["dbname"] == database
