"""docs/configuration.md, from `service/config/settings.py`."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from service.config import Settings, SettingsGroup
from service.config.kafka_properties import RESERVED
from service.config.sources import DELIMITER, PREFIX
from service.pkg.units import parse_age, parse_bytes, parse_seconds

INTRODUCTION = f"""\
# Configuration

This page is generated from `service/config/settings.py`.

Set each setting as an environment variable, or as a file with the same name in the directory
`ORDERS_SECRETS_DIR`. Variables take precedence over files; an empty variable counts as unset.
Commands read settings once, at startup, but the files of API keys and passwords again when they
change ([operations.md](operations.md#passwords-tokens-and-certificates)). If a name is unknown or a
value is invalid, the command exits with code 2. It prints a line with the name of the variable,
never its value. `orders doctor` prints all settings without secrets.

In the Helm chart, `settings` takes any setting that is not a secret.
[chart/README.md](../chart/README.md) lists the values that also configure probes, limits and
Secrets.

## Types

| type | format |
|---|---|
| duration | a number with `ms`, `s`, `m`, `h` or `d`, such as `500ms`, `1.5s`, `10m`; a number alone is seconds |
| size | a number with `B`, `KiB`, `MiB` or `GiB`; a number alone is bytes |
| `true`, `false` | also `1` and `0`, `yes` and `no`, `on` and `off` |
| JSON list | `["https://shop.example.com","https://admin.example.com"]` |
| JSON object | `{{"security.protocol":"SASL_SSL","sasl.mechanism":"SCRAM-SHA-512"}}` |

## librdkafka properties

Set librdkafka properties together as JSON in `ORDERS_KAFKA__PROPERTIES`, or individually in
variables or files such as `ORDERS_KAFKA__PROPERTIES__sasl.password`, which take precedence. A shell
cannot assign a name with a dot, but `env` and Kubernetes can:

```sh
env ORDERS_KAFKA__PROPERTIES__security.protocol=SSL orders doctor
```

Orders rejects these properties:

| property | reason |
|---|---|
{"".join(f"| `{name}` | {reason} |{chr(10)}" for name, reason in RESERVED.items())}
## Variables of libraries

For parameters that the connection string does not set, libpq reads its own variables (`PGUSER`,
`PGPASSWORD`, `PGSSLMODE`, `PGSSLROOTCERT`, …). `OTEL_EXPORTER_OTLP_ENDPOINT` enables tracing in the
consumer.

## Settings

| variable | type | default | |
|---|---|---|---|
"""


class Unit(NamedTuple):
    parse: Callable[[Any], Any]
    bound: object
    """The bound that every setting of this unit has; the page omits it."""
    factors: dict[str, float]
    """Largest first."""


_DURATIONS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
UNITS = {
    "duration": Unit(parse_seconds, Ge(0), _DURATIONS),
    "duration with a unit": Unit(parse_age, Ge(0), _DURATIONS),
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
    """Formatted as a user would write it."""
    meaning: str


def variables() -> Iterator[Variable]:
    """Yield all settings, in the order of `service/config/settings.py`."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, SettingsGroup):
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
    return Variable(
        f"{PREFIX}{name}".upper(), f"{kind} {', '.join(bounds)}".strip(), _formatted(default, unit), meaning
    )


def plain_type(annotation: Any, facts: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return the bare type and its annotations; for `X | None` those of X."""
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
    if get_origin(annotation) is not Literal:
        raise TypeError(f"reference/configuration.py has no name for the type {annotation}")
    return ", ".join(f"`{choice}`" for choice in get_args(annotation))


def _formatted(default: Any, unit: str | None) -> str:
    if default is None:
        return ""
    if unit and default:
        name, factor = next((name, each) for name, each in UNITS[unit].factors.items() if (default / each).is_integer())
        return f"{default / factor:g}{name}"
    return default if isinstance(default, str) else json.dumps(default)


def render() -> str:
    rows = [
        f"| `{each.name}` | {each.kind} | {each.default and f'`{each.default}`'} | {each.meaning} |\n"
        for each in variables()
    ]
    return INTRODUCTION + "".join(rows)
