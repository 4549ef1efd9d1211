"""The page of all settings, made of `service/config.py`.

After a change of a setting write the page anew:

    python -c 'from tests.unit.test_configuration import published; print(published(), end="")' > docs/configuration.md
    python -c 'from tests.unit.test_values_schema import write; write()'    # and the chart's schema
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from service.config import _OURS, DELIMITER, PREFIX, Group, Settings, load
from service.pkg.units import parse_bytes, parse_seconds

PUBLISHED = Path(__file__).parents[2] / "docs" / "configuration.md"
INTRODUCTION = f"""\
# Configuration

Every setting is an environment variable, or a file of the same name in the folder that `ORDERS_SECRETS_DIR` names. A
variable wins over a file; an empty variable counts as not set. All are read once, at start; only the file of API keys
is read anew when it changes. A name that a group doesn't have, and a value that can't be, are refused with one line
that names the variable, never its value (exit code 2). `orders doctor` prints what is set, without secrets. Made of
`service/config.py`.

In the chart `settings` takes any of them that is no secret, and [chart/README.md](../chart/README.md) has values for
those that probes, limits and Secrets follow from.

| type | is written |
|---|---|
| duration | a number with `ms`, `s`, `m`, `h` or `d`, such as `500ms`, `1.5s`, `10m`; a number alone is seconds |
| size | a number with `B`, `KiB`, `MiB` or `GiB`; a number alone is bytes |
| `true`, `false` | also `1` and `0`, `yes` and `no`, `on` and `off` |
| JSON list | `["https://shop.example.com","https://admin.example.com"]` |
| JSON object | `{{"security.protocol":"SASL_SSL","sasl.mechanism":"SCRAM-SHA-512"}}` |

A property of librdkafka can also be a variable (or a file) of its own, with the property's name as it is, dots
included: `ORDERS_KAFKA__PROPERTIES__sasl.password`. It wins over the JSON. A shell can't assign such a name; `env` and
Kubernetes can:

```sh
env ORDERS_KAFKA__PROPERTIES__security.protocol=SSL orders doctor
```

Refused are: {"; ".join(f"`{name}` ({reason})" for name, reason in _OURS.items())}.

Besides, libpq reads its own variables where the connection string leaves something out (`PGUSER`, `PGPASSWORD`,
`PGSSLMODE`, `PGSSLROOTCERT`, …), and `OTEL_EXPORTER_OTLP_ENDPOINT` has the consumer send traces.

| variable | type | default | |
|---|---|---|---|
"""


class Unit(NamedTuple):
    parse: Callable[[Any], Any]
    bound: object
    """It goes without saying."""
    factors: dict[str, float]
    """The largest first."""


UNITS = {
    "duration": Unit(parse_seconds, Ge(0), {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}),
    "size": Unit(parse_bytes, Ge(1), {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}),
}
TYPES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    Path: "path",
    tuple: "JSON list",
    dict: "JSON object",
}
BOUNDS = {Ge: "≥ {0.ge}", Gt: "> {0.gt}", Le: "≤ {0.le}"}


class Variable(NamedTuple):
    name: str
    kind: str
    default: str
    """As it would be written."""
    meaning: str


def variables() -> Iterator[Variable]:
    """Yield what can be set, in the order of `service/config.py`."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Group):
            for of_group, each in type(field.default).model_fields.items():
                yield _variable(f"{name}{DELIMITER}{of_group}", each, getattr(field.default, of_group))
        else:
            yield _variable(name, field, field.default)


def _variable(name: str, field: FieldInfo, default: object) -> Variable:
    annotation, facts = plain_type(field.annotation, field.metadata)
    unit = next((unit for unit, how in UNITS.items() if BeforeValidator(how.parse) in facts), None)
    kind = unit or TYPES.get(get_origin(annotation) or annotation) or _choices(annotation)
    bounds = [BOUNDS[type(fact)].format(fact) for fact in facts if type(fact) in BOUNDS and not _is_implied(unit, fact)]
    meaning = " ".join((field.description or "").split())
    return Variable(f"{PREFIX}{name}".upper(), f"{kind} {', '.join(bounds)}".strip(), _written(default, unit), meaning)


def plain_type(annotation: Any, facts: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return the type without what is said about it, and all of that; `X | None` is X."""
    if get_origin(annotation) is Annotated:
        plain, *more = get_args(annotation)
        return plain_type(plain, [*more, *facts])
    if type(None) in get_args(annotation):
        (plain,) = (each for each in get_args(annotation) if each is not type(None))
        return plain_type(plain, facts)
    flat = [each for fact in facts for each in (fact.metadata if isinstance(fact, FieldInfo) else [fact])]
    return annotation, flat


def _is_implied(unit: str | None, fact: object) -> bool:
    return unit is not None and fact == UNITS[unit].bound


def _choices(annotation: Any) -> str:
    assert get_origin(annotation) is Literal
    return ", ".join(f"`{choice}`" for choice in get_args(annotation))


def _written(default: Any, unit: str | None) -> str:
    if default is None:
        return ""
    if unit and default:
        name, factor = next((name, each) for name, each in UNITS[unit].factors.items() if (default / each).is_integer())
        return f"{default / factor:g}{name}"
    return default if isinstance(default, str) else json.dumps(default)


def published() -> str:
    rows = [
        f"| `{each.name}` | {each.kind} | {each.default and f'`{each.default}`'} | {each.meaning} |\n"
        for each in variables()
    ]
    return INTRODUCTION + "".join(rows)


def test_the_page_is_that_of_the_settings() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == published()


def test_each_setting_says_in_a_sentence_what_it_means() -> None:
    assert [each.name for each in variables() if not each.meaning.endswith(".")] == []


def test_defaults_written_as_on_the_page_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for each in variables():
        monkeypatch.setenv(each.name, each.default)
    assert load() == Settings.model_construct()
