"""The settings in chart/values.schema.json, with the limits of `service/config/settings.py`."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from reference import ROOT
from reference.configuration import UNITS, Unit, plain_type
from service.config import Settings, SettingsGroup
from service.config.sources import DELIMITER, PREFIX

SCHEMA: Final = ROOT / "chart" / "values.schema.json"
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


def _lines() -> str:
    """Return the lines of the schema, one for each setting."""
    schema = settings()
    lines = [f'{" " * 8}"{name}": {json.dumps(each)}' for name, each in schema.pop("properties").items()]
    rest = [f'{" " * 6}"{name}": {json.dumps(each)}' for name, each in schema.items()]
    properties = ",\n".join(lines)
    return ",\n".join(rest) + f',\n{" " * 6}"properties": {{\n{properties}\n{" " * 6}}}\n'


def render() -> str:
    text = SCHEMA.read_text(encoding="utf-8")
    found = re.fullmatch(r'(.*\n    "settings": \{\n).*?(    \},\n    "extraEnv".*)', text, re.DOTALL)
    if found is None:
        raise ValueError(f"{SCHEMA}: no object `settings` before `extraEnv`")
    return found[1] + _lines() + found[2]
