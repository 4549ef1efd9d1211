from typing import Any

import pytest
from msgspec import Struct

from service.entities.changes import changed_fields
from service.entities.order import Delivery, Item, Order, Payment
from tests.kit.factories import SAMPLE, order

ITEM = SAMPLE["items"][0]


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({}, []),
        ({"entry": "x"}, ["entry"]),
        ({"internal_signature": None}, ["internal_signature"]),
        ({"date_created": "2021-11-26T06:22:20Z"}, ["date_created"]),
        ({"delivery": {"email": "x@y.example"}}, ["delivery.email"]),
        ({"payment": {"amount": 1, "bank": "x"}}, ["payment.amount", "payment.bank"]),
        ({"items": [ITEM, ITEM]}, ["items"]),
        ({"items": [ITEM | {"price": 1, "sale": 1}]}, ["items[].price", "items[].sale"]),
        ({"locale": "x", "payment": {"bank": "x"}, "items": [ITEM | {"size": "x"}]},
         ["locale", "payment.bank", "items[].size"]),
    ],
)  # fmt: skip
def test_the_paths_of_changed_fields_are_named_without_values(change: dict[str, Any], paths: list[str]) -> None:
    assert changed_fields(order(order_uid="a"), order(order_uid="a", **change)) == paths
    assert changed_fields(order(order_uid="a", **change), order(order_uid="a")) == paths


def test_a_field_that_changes_in_several_items_is_named_once() -> None:
    before, after = ([ITEM | {"price": price}] * 3 + [ITEM | {"name": name}] for price, name in ((1, "a"), (2, "b")))
    assert changed_fields(order(order_uid="a", items=before), order(order_uid="a", items=after)) == [
        "items[].price",
        "items[].name",
    ]


def test_every_field_of_an_order_is_compared() -> None:
    names = {*Order.__struct_fields__} - {"delivery", "payment", "items"}
    names |= {f"delivery.{name}" for name in Delivery.__struct_fields__}
    names |= {f"payment.{name}" for name in Payment.__struct_fields__}
    names |= {f"items[].{name}" for name in Item.__struct_fields__}
    assert {*changed_fields(_distinct(1), _distinct(2))} == names


def _distinct(number: int) -> Order:
    """Return an order whose every field has a value that depends on the number."""
    values: dict[str, Any] = dict.fromkeys(Order.__struct_fields__, number)
    values |= {"delivery": _filled(Delivery, number), "payment": _filled(Payment, number)}
    return Order(**values | {"items": [_filled(Item, number)]})


def _filled(part: type[Struct], number: int) -> Struct:
    return part(**dict.fromkeys(part.__struct_fields__, number))
