"""Aliases and defaults are checked against the order's fields."""

from typing import Any

import pytest

from service.entities.field_paths import FIELDS, check_alias, check_default


def test_paths_lead_to_fields_of_parts_and_items() -> None:
    assert {"order_uid", "delivery", "delivery.zip", "payment.amount", "items", "items.sale"} < FIELDS.keys()


@pytest.mark.parametrize(
    ("alias", "path"),
    [("a", "entry"), ("a.b.c", "entry"), ("a", "delivery.zip"), ("a", "items"), ("items.a", "items.rid")],
)
def test_an_alias_is_a_path_to_a_field_of_the_order(alias: str, path: str) -> None:
    check_alias(alias, path)


@pytest.mark.parametrize(
    ("alias", "path", "problem"),
    [
        ("a", "entri", "the order has no field entri"),
        ("a", "delivery.postcode", "the order has no field delivery.postcode"),
        ("entry", "locale", "entry is a field of the order: it cannot be an alias"),
        ("", "locale", "the alias of locale must be a path such as a.b"),
        ("a..b", "locale", "the alias of locale must be a path such as a.b"),
        ("a", "items.rid", "the alias of items.rid must be in each item: items.a"),
        ("items.a", "locale", "items.a is in each item, but locale is not"),
    ],
)
def test_an_alias_that_cannot_be_read_is_refused(alias: str, path: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        check_alias(alias, path)


@pytest.mark.parametrize(
    ("path", "value"),
    [("locale", "en"), ("locale", 'a"\t\\'), ("items.sale", 0), ("date_created", "2020-01-01T00:00:00Z")],
)
def test_a_default_has_the_type_of_its_field(path: str, value: Any) -> None:
    check_default(path, value)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("color", "red", "the order has no field color"),
        ("payment.request_id", "", "payment.request_id is optional: it needs no default"),
        ("items.sale", 101, "the default of items.sale is invalid: Expected int <= 100"),
        ("locale", 7, "the default of locale is invalid: Expected str, got int"),
        ("locale", "a\0", "the default of locale is invalid: it contains a NUL character"),
        (
            "order_uid",
            "uid",
            "order_uid identifies the order: with a default, all messages without it would be one order",
        ),
    ],
)
def test_a_default_that_the_order_may_not_have_is_refused(path: str, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        check_default(path, value)
