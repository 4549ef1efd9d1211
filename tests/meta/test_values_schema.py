"""The schema of the chart values has the limits of `service/config/settings.py`: Helm rejects invalid settings.

After a change of a setting, run `make reference`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le
from jsonschema import Draft7Validator
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from service.config import Settings, SettingsGroup, load
from service.config.sources import DELIMITER, PREFIX
from service.errors import InvalidSettings
from tests.meta.test_configuration import UNITS, Unit, plain_type

SCHEMA: Final = Path(__file__).parents[2] / "chart" / "values.schema.json"
PROPERTY: Final = "^ORDERS_KAFKA__PROPERTIES__[A-Za-z][A-Za-z0-9._]*$"
TEXT: Final = ["string", "number", "boolean"]
"""A number in a values file becomes the text of a variable."""
TRUTHS: Final = [True, False, 0, 1, *("true", "false", "1", "0", "yes", "no", "on", "off", "")]
BOUNDS: Final = {Ge: ("minimum", "ge"), Gt: ("exclusiveMinimum", "gt"), Le: ("maximum", "le")}
ANY_SIZE: Final = r"[\s\S]*"


def settings() -> dict[str, Any]:
    """Return the schema of the value `settings`. An empty variable counts as not set."""
    return {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z][A-Za-z0-9_.]*$"},
        "additionalProperties": False,
        "properties": dict(fields()) | {f"{PREFIX}SECRETS_DIR": {"type": "string"}},
        "patternProperties": {PROPERTY: {"type": TEXT}, foreign(PREFIX): {"type": TEXT}},
    }


def foreign(prefix: str) -> str:
    """Return the pattern of names that do not start with the prefix in any case. Go's patterns have no negation."""
    first, others = prefix[0], prefix[1:]
    pattern = ""
    for character in reversed(others):
        either = f"[{character}{character.lower()}]" if character.isalpha() else character
        pattern = f"($|[^{either.strip('[]')}]" + (f"|{either}{pattern})" if pattern else ")")
    return f"^([^{first}]|{first}{pattern})"


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, SettingsGroup):
            for of_group, each in type(field.default).model_fields.items():
                yield f"{PREFIX}{name}{DELIMITER}{of_group}".upper(), variable(each)
        else:
            yield f"{PREFIX}{name}".upper(), variable(field)


def variable(field: FieldInfo) -> dict[str, Any]:
    annotation, facts = plain_type(field.annotation, field.metadata)
    if get_origin(annotation) is Literal:
        return {"enum": [*get_args(annotation), ""]}
    if annotation is bool:
        return {"enum": TRUTHS}
    return written(get_origin(annotation) or annotation, facts) | dict(bounds(facts))


def written(kind: object, facts: list[Any]) -> dict[str, Any]:
    """Return the types of a variable, and the pattern of its text."""
    unit = next((each for each in UNITS.values() if BeforeValidator(each.parse) in facts), None)
    if unit:
        return _written_with(unit)
    if kind is int:
        return {"type": ["integer", "string"], "pattern": "^(-?[0-9]+)?$"}
    if kind is float:
        return {"type": ["number", "string"], "pattern": "^([0-9]*[.]?[0-9]+)?$"}
    if kind is tuple:
        return {"type": "string", "pattern": rf"^(\s*\[{ANY_SIZE}\]\s*)?$"}
    if kind is dict:
        return {"type": "string", "pattern": rf"^(\s*\{{{ANY_SIZE}\}}\s*)?$"}
    (pattern,) = [each.pattern for each in facts if getattr(each, "pattern", None)] or [None]
    return {"type": TEXT} | ({"pattern": f"^({pattern.strip('^$')})?$"} if pattern else {})


def _written_with(unit: Unit) -> dict[str, Any]:
    number = rf"\s*\d+(\.\d+)?\s*({'|'.join(unit.factors)})"
    if unit is UNITS["duration with a unit"]:
        return {"type": "string", "pattern": rf"^({number}\s*)?$"}
    return {"type": ["number", "string"], "pattern": rf"^({number}?\s*)?$"}


def bounds(facts: list[Any]) -> Iterator[tuple[str, float]]:
    """Yield the bounds of numbers. The service checks those of texts, such as `30s`."""
    for fact in facts:
        if type(fact) in BOUNDS:
            name, attribute = BOUNDS[type(fact)]
            yield name, getattr(fact, attribute)


def published() -> str:
    """Return the lines of the schema, one for each setting."""
    schema = settings()
    lines = [f'{" " * 8}"{name}": {json.dumps(each)}' for name, each in schema.pop("properties").items()]
    rest = [f'{" " * 6}"{name}": {json.dumps(each)}' for name, each in schema.items()]
    properties = ",\n".join(lines)
    return ",\n".join(rest) + f',\n{" " * 6}"properties": {{\n{properties}\n{" " * 6}}}\n'


def split() -> tuple[str, str, str]:
    """Return the schema's text before the settings, of them, and after them."""
    found = re.fullmatch(
        r'(.*\n    "settings": \{\n)(.*?)(    \},\n    "extraEnv".*)', SCHEMA.read_text("utf-8"), re.DOTALL
    )
    assert found
    return found[1], found[2], found[3]


def write() -> None:
    before, _, after = split()
    SCHEMA.write_text(before + published() + after, encoding="utf-8")


def test_the_chart_has_the_schema_of_the_settings() -> None:
    assert split()[1] == published()


def rejects(name: str, value: object) -> bool:
    return bool(list(Draft7Validator(settings()).iter_errors({name: value})))


REJECTED: Final = (
    ("ORDERS_LOG__LEVEL", "loud"),
    ("ORDERS_LOG__LEVEL", "INFO"),
    ("ORDERS_LOGG__LEVEL", "info"),
    ("ORDERS_LOG__LEVELS", "info"),
    ("ORDERS_HTTP__CORS_ORIGINS", "https://a.example"),
    ("ORDERS_KAFKA__PROPERTIES", "security.protocol=SSL"),
    ("ORDERS_KAFKA__TOPIC", "a b"),
    ("ORDERS_KAFKA__CREATE_TOPICS", "maybe"),
    ("ORDERS_KAFKA__PARTITIONS", "many"),
    ("ORDERS_KAFKA__PARTITIONS", 0),
    ("ORDERS_POSTGRES__POOL_SIZE", 1_001),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "30 seconds"),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", 0),
    ("ORDERS_KAFKA__PREFETCH", "8MB"),
)


@pytest.mark.parametrize(("name", "value"), REJECTED)
def test_the_chart_rejects_what_the_service_rejects(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rejects(name, value)
    monkeypatch.setenv(name, str(value))
    with pytest.raises(InvalidSettings):
        load()


ACCEPTED: Final = (
    ("ORDERS_LOG__LEVEL", "debug"),
    ("ORDERS_HTTP__CORS_ORIGINS", '["https://a.example"]'),
    ("ORDERS_KAFKA__PROPERTIES", '{\n "security.protocol": "SSL"\n}'),
    ("ORDERS_KAFKA__PROPERTIES__ssl.ca.location", "/a"),
    ("ORDERS_KAFKA__PROPERTIES__socket.timeout.ms", 9000),
    ("ORDERS_KAFKA__TOPIC", 12),
    ("ORDERS_KAFKA__CREATE_TOPICS", False),
    ("ORDERS_KAFKA__CREATE_TOPICS", "no"),
    ("ORDERS_KAFKA__REPLICATION_FACTOR", -1),
    ("ORDERS_KAFKA__PARTITIONS", "6"),
    ("ORDERS_KAFKA__RETENTION", ""),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", 12.5),
    ("ORDERS_POSTGRES__STATEMENT_TIMEOUT", "1.5 m"),
    ("ORDERS_KAFKA__PREFETCH", "8MiB"),
    ("ORDERS_CIRCUIT_BREAKER__RATIO", "0.25"),
    ("O", "a"),
    ("ORDER", "a"),
    ("OTEL_SERVICE_NAME", "a"),
    ("PGSSLMODE", "require"),
)


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_the_chart_accepts_what_the_service_accepts(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not rejects(name, value)
    monkeypatch.setenv(name, str(value))
    load()


def test_a_setting_in_lower_case_is_rejected() -> None:
    assert rejects("Orders_Log__Level", "debug")
    assert rejects("ORDERS_LOG__level", "debug")
