"""Dotted paths of the order's fields, such as `delivery.zip` and `items.price`, and what settings may do with them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo

from service.entities.order import Delivery, Item, Order, Payment

ITEMS: Final = "items"
IDENTITY: Final = "order_uid"
_NUL: Final = b"\\u0000"
"""The character NUL in JSON, which PostgreSQL cannot store."""
PARTS: Final[Mapping[str, type[msgspec.Struct]]] = {"delivery": Delivery, "payment": Payment, ITEMS: Item}
"""The parts of an order by field."""


def _paths(part: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for field in msgspec.structs.fields(part):
        yield f"{prefix}{field.name}", field
        if part is Order and field.name in PARTS:
            yield from _paths(PARTS[field.name], f"{field.name}.")


FIELDS: Final[Mapping[str, FieldInfo]] = dict(_paths(Order))
"""All fields by path. A path of `items` means each item."""


def check_alias(alias: str, path: str) -> None:
    """Raise ValueError unless a field `alias` of a message may be read as the field `path` of the order."""
    _require_field(path)
    if alias in FIELDS:
        raise ValueError(f"{alias} is a field of the order: it cannot be an alias")
    if not all(alias.split(".")):
        raise ValueError(f"the alias of {path} must be a path such as a.b")
    if _is_in_item(path) and not _is_in_item(alias):
        raise ValueError(f"the alias of {path} must be in each item: {ITEMS}.{alias}")
    if _is_in_item(alias) and not _is_in_item(path):
        raise ValueError(f"{alias} is in each item, but {path} is not")


def check_default(path: str, value: Any) -> None:
    """Raise ValueError unless the order may have this value in `path` where a message has no such field."""
    field = _require_field(path)
    if path == IDENTITY:
        raise ValueError(f"{path} identifies the order: with a default, all messages without it would be one order")
    if not field.required:
        raise ValueError(f"{path} is optional: it needs no default")
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        raise ValueError(f"the default of {path} is invalid: {str(error).replace('`', '')}") from None
    if _NUL in msgspec.json.encode(value):
        raise ValueError(f"the default of {path} is invalid: it contains a NUL character")


def _require_field(path: str) -> FieldInfo:
    if path not in FIELDS:
        raise ValueError(f"the order has no field {path}")
    return FIELDS[path]


def _is_in_item(path: str) -> bool:
    return path.startswith(f"{ITEMS}.")
