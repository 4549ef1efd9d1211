"""Text that YAML could take for something else arrives as it is, through every value and in every name."""

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
from tests.chart.rendered import CHART, Manifest, containers, of_kind, one, parsed, pod_templates, rendered

INSTANCE: Final = "app.kubernetes.io/instance"
WORDS: Final = (
    "0123", "a: b", "true", "1e3", "x #y", "0x1f", "null", "on", "~", "12", "'\"{}\\[],&*!|>%@`", "two\nlines", "=",
    "  blanks  ", "- a", "? a", "1_000", "2001-01-01", ".inf", "0b11", "0o17", "<<", "1:20", "ünï 🦉", "*a", "no",
)  # fmt: skip
ODD_NAMES: Final = ("null", "true", "1e3", "0x1f", "12", "off", "7.0", "y", "my.shop", "r" * 53)
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
LIMITS: Final = {"limits": {"memory": "640Mi"}}
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
    },
    "outside": {
        "kafka": {"enabled": False, "securityProtocol": "SASL_SSL", "sasl": {"mechanism": "PLAIN"}},
        "postgresql": {"enabled": False, "tls": {"mode": "verify-full"}},
        "consumer": {"keda": {"enabled": True}, "autoscaling": {"enabled": False}},
        "migrations": {"mode": "hook"},
    },
}


class Leaf(NamedTuple):
    """A value of type string; `token` stands for it in what is rendered."""

    path: str
    token: str
    schema: dict[str, Any]

    def takes(self, word: str) -> bool:
        # Names of objects begin with it, and have rules of their own.
        pattern = "^[a-z][a-z0-9]*$" if self.path == ".fullnameOverride" else self.schema.get("pattern", "")
        return len(word) >= self.schema.get("minLength", 0) and bool(re.search(pattern.replace("$", r"\Z"), word))


class Sample:
    """Values with a token in each place where the schema takes text."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.values: dict[str, Any] = self._of(SCHEMA, "")

    def _of(self, schema: dict[str, Any], path: str) -> Any:
        """Return None where the default has to do."""
        if "$ref" in schema:
            return self._of(SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]], path)
        if path.endswith(".resources"):
            return LIMITS
        if path == ".settings":
            return {"TZ": self._token(f"{path}.TZ", {})}
        kind = schema.get("type")
        makers = {"object": self._object, "array": self._array, "string": self._token}
        return makers[kind](path, schema) if kind in makers else (kind == "boolean" or None)

    def _array(self, path: str, schema: dict[str, Any]) -> list[Any] | None:
        item = self._of(schema["items"], f"{path}[]")
        return None if item is None else [item]

    def _object(self, path: str, schema: dict[str, Any]) -> dict[str, Any]:
        if "properties" not in schema:
            return {str(self._token(f"{path}.KEY", {})): self._token(f"{path}.VALUE", {})}
        found = {name: self._of(each, f"{path}.{name}") for name, each in schema["properties"].items()}
        return {name: value for name, value in found.items() if value is not None}

    def _token(self, path: str, schema: dict[str, Any]) -> str | None:
        leaf = Leaf(path, f"zq{len(self.leaves):03}", schema)
        if not leaf.takes(leaf.token):
            return None
        self.leaves.append(leaf)
        return leaf.token


@cache
def sample() -> Sample:
    return Sample()


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return the values with others laid over them; None takes one away."""
    kept = {name: value for name, value in values.items() if over.get(name, value) is not None}
    return kept | {
        name: merged(values.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in over.items()
        if value is not None
    }


def replaced(node: Any, words: dict[str, str]) -> Any:
    """Return it with a word in the place of each token, in keys as well."""
    match node:
        case dict():
            return {replaced(key, words): replaced(value, words) for key, value in node.items()}
        case list():
            return [replaced(each, words) for each in node]
        case str():
            return re.sub(r"zq\d{3}", lambda token: words.get(token[0], token[0]), node)
    return node


def objects(values: dict[str, Any], folder: Path, name: str = "zq900", namespace: str = "zq901") -> list[Manifest]:
    file = folder / "values.json"
    file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    try:
        return parsed(rendered.__wrapped__((file,), name=name, namespace=namespace))
    except CalledProcessError as refused:
        raise AssertionError(refused.stderr) from None


@cache
def plainly(mode: str, folder: Path) -> list[Manifest]:
    """Return what is rendered with the tokens themselves."""
    return objects(merged(sample().values, MODES[mode]), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


def comparable(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the objects by kind and name, without what is made by chance or follows from all the rest."""
    found = {}
    for each in manifests:
        name = re.sub(r"-migrate-[0-9a-f]{10}$", "-migrate", each["metadata"]["name"])
        found[f"{each['kind']}/{name}"] = each | {"metadata": each["metadata"] | {"name": name}}
    for each in of_kind(list(found.values()), "Secret"):
        each["data"] = sorted(each["data"], key=str)
    for pod in pod_templates(list(found.values())):
        for name in [name for name in pod["metadata"].get("annotations", {}) if str(name).startswith("checksum/")]:
            pod["metadata"]["annotations"][name] = type(pod["metadata"]["annotations"][name]).__name__
    return {name: addresses_decoded(each) for name, each in found.items()}


def addresses_decoded(node: Any) -> Any:
    """Return it with the database's name in a URL as libpq reads it."""
    match node:
        case dict():
            return {key: addresses_decoded(value) for key, value in node.items()}
        case list():
            return [addresses_decoded(each) for each in node]
        case str() if node.startswith("postgresql://"):
            return unquote(node)
    return node


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys(), key=str):
            yield from differences(wanted.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (left, right) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif wanted != found or type(wanted) is not type(found):
        yield f"{path}: {found!r}, not {wanted!r}"


def words_of(turn: int) -> dict[str, str]:
    """Return a word for each token: another one for each of its turns."""
    words = {}
    for number, leaf in enumerate(sample().leaves):
        taken = [word for word in WORDS if leaf.takes(word)]
        words[leaf.token] = taken[(number + turn) % len(taken)]
    return words | {"zq900": ODD_NAMES[turn % len(ODD_NAMES)], "zq901": ("null", "1e3", "true", "0x1f", "12")[turn % 5]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("turn", range(6))
def test_every_text_arrives_as_it_was_given(mode: str, turn: int, folder: Path) -> None:
    """What is rendered with plain words, the awkward ones put in their place, is what is rendered with these."""
    values, words = merged(sample().values, MODES[mode]), words_of(turn)
    wanted = comparable(replaced(plainly(mode, folder), words))
    given = objects(replaced(values, words), folder, words["zq900"], words["zq901"])
    assert list(differences(wanted, comparable(given))) == []


def test_every_value_of_the_schema_that_is_text_lands_in_an_object(folder: Path) -> None:
    landed = "".join(json.dumps(plainly(mode, folder)) for mode in MODES)
    missing = {leaf.path for leaf in sample().leaves if leaf.token not in landed}
    assert missing == {".global.KEY", ".global.VALUE", ".nameOverride"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_release_of_any_name_has_names_and_labels_that_kubernetes_takes(name: str) -> None:
    found = parsed(rendered((CHART / "ci" / "everything-values.yaml",), name=name, namespace="null"))
    for each in found:
        assert_is_a_name(each)
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
def test_what_objects_are_named_after_makes_names_that_kubernetes_takes(value: str, name: str, tmp_path: Path) -> None:
    for each in objects({value: name}, tmp_path, "12", "shop"):
        assert_is_a_name(each)


def assert_is_a_name(each: Manifest) -> None:
    name = each["metadata"]["name"]
    assert isinstance(name, str), name
    # A Service's name is a label of DNS that begins with a dead letter.
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name), name


def test_a_claim_asks_for_what_was_written(tmp_path: Path) -> None:
    """Octal, 010 would be 8."""
    values = {"kafka": {"persistence": {"size": "010"}}}
    (claim,) = one(objects(values, tmp_path), "StatefulSet", "zq900-orders-kafka")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "010"


def test_a_dollar_is_no_reference_in_the_migration_as_it_is_none_in_a_config_map(tmp_path: Path) -> None:
    found = objects({"settings": {"TZ": "$(PGPASSWORD) $$ $"}}, tmp_path)
    (migrate,) = containers(one(found, "Job")["spec"]["template"])
    (given,) = (each["value"] for each in migrate["env"] if each["name"] == "TZ")
    assert given.replace("$$", "$") == one(found, "ConfigMap", "zq900-orders")["data"]["TZ"] == "$(PGPASSWORD) $$ $"


@pytest.mark.parametrize("database", ["my shop", "a/b", "a?b", "a#b", "50%", "a+b", "ünï", "u:s@h"])
def test_the_service_connects_to_the_database_of_any_name(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = one(objects({"postgresql": {"database": database}}, tmp_path), "ConfigMap", "zq900-orders")["data"]
    monkeypatch.setenv("ORDERS_POSTGRES__DSN", found["ORDERS_POSTGRES__DSN"])
    assert conninfo_to_dict(Settings().postgres.dsn)["dbname"] == database
