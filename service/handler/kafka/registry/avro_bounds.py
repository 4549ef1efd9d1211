"""How much memory the messages of an Avro schema may take.

A schema by which a few bytes could become any number of values is rejected: each value must take at least one byte, and
no type may contain itself.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from service.errors import UnusableSchema

MAX_DEPTH: Final = 64
_VALUE_BYTES: Final = 64
"""For the first byte of a value: a datetime needs the most memory. Further bytes of a text need less."""
_DECIMAL_BYTES: Final = 112
_LIST_BYTES: Final = 72
_MAP_BYTES: Final = 80
_ITEM_BYTES: Final = 16
"""A list reserves more pointers than it has items."""
_ENTRY_BYTES: Final = 320
"""The first entry of a map, with its key; each further one needs less."""
_GC_BYTES: Final = 16

Schema = Any
"""What fastavro returns."""


class Bounds(NamedTuple):
    height: int
    """Levels of nesting."""
    min_bytes: int
    """Of a value, at least 1."""
    expansion: int
    """Bytes of memory for each byte of a value, at most."""


_NULL: Final = Bounds(0, 0, 0)


def bounds_of(schema: Schema, named: Mapping[str, Schema]) -> Bounds:
    """Return the bounds of a schema's values. `named`: its named types. Raises UnusableSchema."""
    return _Measure(named).of(schema, ())


class _Measure:
    def __init__(self, named: Mapping[str, Schema]) -> None:
        self._named = named
        self._measured: dict[str, Bounds] = {}
        """By name: a type may occur many times."""

    def of(self, node: Schema, parents: tuple[str, ...]) -> Bounds:
        if isinstance(node, str):
            node = self._named.get(node, {"type": node})
        name = "" if isinstance(node, list) else node.get("name", "")
        if name in self._measured:
            return self._measured[name]
        if name and name in parents:
            raise UnusableSchema("is recursive")
        bounds = self._of_new(node, (*parents, name)) if len(parents) <= MAX_DEPTH else None
        if bounds is None or bounds.height > MAX_DEPTH:
            raise UnusableSchema("is nested too deeply")
        if name:
            self._measured[name] = bounds
        return bounds

    def _of_new(self, node: Schema, parents: tuple[str, ...]) -> Bounds:
        if isinstance(node, list):
            return _union([_NULL if branch == "null" else self.of(branch, parents) for branch in node])
        match node["type"]:
            case "record" | "error":
                return _record([self.of(field["type"], parents) for field in node["fields"]])
            case "array":
                return _array(self.of(node["items"], parents))
            case "map":
                return _map(self.of(node["values"], parents))
        return _scalar(node)


def _scalar(node: Mapping[str, Any]) -> Bounds:
    if node["type"] == "null":
        raise UnusableSchema("has a null outside of a union")
    if node.get("size") == 0:
        raise UnusableSchema("has a type without content")
    return Bounds(0, 1, _DECIMAL_BYTES if node.get("logicalType") == "decimal" else _VALUE_BYTES)


def _record(fields: Sequence[Bounds]) -> Bounds:
    if not fields:
        raise UnusableSchema("has a type without content")
    min_bytes = sum(each.min_bytes for each in fields)
    own = sys.getsizeof({str(number): None for number in range(len(fields))}) + _GC_BYTES
    return _around(fields, min_bytes, own)


def _array(item: Bounds) -> Bounds:
    """Return the bounds of an array: an empty one takes one byte."""
    around = _around([item], item.min_bytes, _ITEM_BYTES)
    return around._replace(min_bytes=1, expansion=max(around.expansion, _LIST_BYTES))


def _map(value: Bounds) -> Bounds:
    """Return the bounds of a map: an empty one takes one byte, and so does an empty key."""
    around = _around([value], 1 + value.min_bytes, _ENTRY_BYTES)
    return around._replace(min_bytes=1, expansion=max(around.expansion, _MAP_BYTES))


def _union(branches: Sequence[Bounds]) -> Bounds:
    """Return the bounds of a union: the index of the branch takes a byte."""
    return _around(branches, 1 + min(each.min_bytes for each in branches), 0)


def _around(parts: Sequence[Bounds], min_bytes: int, own: int) -> Bounds:
    """Return the bounds of a value of these parts that takes `own` bytes of memory itself."""
    expansion = max(each.expansion for each in parts) + -(-own // min_bytes)
    return Bounds(1 + max(each.height for each in parts), min_bytes, expansion)
