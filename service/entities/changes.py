"""Which fields differ between two versions of an order."""

from collections.abc import Iterator

from msgspec import Struct

from service.entities.order import Order


def changed_fields(before: Order, after: Order) -> list[str]:
    """Return the paths of the fields that differ, without values, such as `entry` or `payment.amount`.

    `items` says that the number of items differs, `items[].price` that at least one item has another price.
    """
    changed = [name for name in _differences(before, after) if name not in {"delivery", "payment", "items"}]
    changed += [f"delivery.{name}" for name in _differences(before.delivery, after.delivery)]
    changed += [f"payment.{name}" for name in _differences(before.payment, after.payment)]
    return changed + _changed_in_items(before, after)


def _changed_in_items(before: Order, after: Order) -> list[str]:
    if len(before.items) != len(after.items):
        return ["items"]
    pairs = zip(before.items, after.items, strict=True)
    changed = dict.fromkeys(name for pair in pairs for name in _differences(*pair))
    return [f"items[].{name}" for name in changed]


def _differences(before: Struct, after: Struct) -> Iterator[str]:
    if before == after:
        return
    for name in before.__struct_fields__:
        if getattr(before, name) != getattr(after, name):
            yield name
