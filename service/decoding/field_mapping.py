"""Changes documents with other field names, missing fields or integers of another type to order documents."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from msgspec import inspect

from service.entities.field_paths import FIELDS, ITEMS
from service.entities.order import MAX_ITEMS

_MAX_DIGITS: Final = 19
"""Of 2^63 - 1."""
_INTEGER: Final = re.compile(r"(-?[0-9]{1,19})(\.0{1,19})?")
_MAX_EXACT_FLOAT: Final = 2**53
"""A larger float may differ from the producer's integer."""


def _is_integer(kind: Any) -> bool:
    info = inspect.type_info(kind)
    return isinstance(info.type if isinstance(info, inspect.Metadata) else info, inspect.IntType)


_INTEGER_FIELDS: Final = tuple(tuple(path.split(".")) for path, info in FIELDS.items() if _is_integer(info.type))

Path = Sequence[str]


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Which fields have other names, which have defaults, and whether integers may have another type.

    `aliases` maps paths in messages to paths of the order. Both kinds of paths are checked (`entities.field_paths`).
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    coerce: bool = False

    def __bool__(self) -> bool:
        return bool(self.aliases or self.defaults or self.coerce)

    def apply(self, document: Any) -> int:
        """Add the order's fields that a document lacks; return the number of coerced values. Its own fields stay."""
        for alias in sorted(self.aliases, key=self._depth_of_target):  # a part before what is in it
            _move(document, alias.split("."), self.aliases[alias].split("."))
        for path, value in self.defaults.items():
            for container, name in _places(document, path.split(".")):
                container.setdefault(name, value)
        places = (place for path in _INTEGER_FIELDS for place in _places(document, path))
        return sum(_coerce(*place) for place in places) if self.coerce else 0

    def _depth_of_target(self, alias: str) -> int:
        return self.aliases[alias].count(".")


NO_MAPPING: Final = FieldMapping()


def _move(document: Any, source: Path, target: Path) -> None:
    if source[0] == target[0] == ITEMS and len(target) > 1:
        for item in _items(document):
            _move(item, source[1:], target[1:])
        return
    for origin, alias in _places(document, source):
        if alias in origin and (container := _container(document, target)) is not None and target[-1] not in container:
            container[target[-1]] = origin.pop(alias)


def _container(document: Any, path: Path) -> Any | None:
    """Return the object that contains a field, and create it if it is absent; None if it is not an object."""
    for name in path[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            return None
    return document


def _places(document: Any, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the object, or each item, that a field belongs to, and the field's name."""
    if path[0] == ITEMS and len(path) > 1:
        for item in _items(document):
            yield from _places(item, path[1:])
        return
    for name in path[:-1]:
        document = document.get(name) if isinstance(document, dict) else None
    if isinstance(document, dict):
        yield document, path[-1]


def _items(document: Any) -> list[Any]:
    """Return the items of an order. More than an order may have are rejected, and so need no change."""
    items = document.get(ITEMS) if isinstance(document, dict) else None
    return items if isinstance(items, list) and len(items) <= MAX_ITEMS else []


def _coerce(container: dict[str, Any], name: str) -> bool:
    """Replace an integer of another type; return whether there was one."""
    value = _integer(container.get(name))
    if value is None:
        return False
    container[name] = value
    return True


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        match = _INTEGER.fullmatch(value)
        return int(match[1]) if match else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT else None
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value.adjusted() < _MAX_DIGITS and value == int(value) else None
    return None
