"""Documents with other field names, fewer fields or integers in another type, as settings allow them."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from service.decoding.field_mapping import FieldMapping
from service.entities.order import MAX_ITEMS
from tests.kit.decoding import CountingDecoder, changed, encoded, with_text
from tests.kit.factories import SAMPLE, Document
from tests.kit.policies import decoding_rules


def decoder_with(**mapping: Any) -> CountingDecoder:
    return CountingDecoder(decoding_rules(mapping=FieldMapping(**mapping)))


def without(*names: str, **more: Any) -> Document:
    return {name: value for name, value in SAMPLE.items() if name not in names} | more


def decoded(decoder: CountingDecoder, document: Document) -> Any:
    return msgspec.to_builtins(decoder.decode(encoded(document)))


# Aliases


@pytest.mark.parametrize(
    ("aliases", "document"),
    [
        ({"shard_key": "shardkey"}, without("shardkey", shard_key="9")),
        ({"meta.shard.key": "shardkey"}, without("shardkey", meta={"shard": {"key": "9"}})),
        ({"shipping": "delivery"}, without("delivery", shipping=SAMPLE["delivery"])),
        ({"shipping": "delivery", "delivery.postcode": "delivery.zip"},
         without("delivery", shipping={"postcode" if name == "zip" else name: value
                                       for name, value in SAMPLE["delivery"].items()})),
        ({f"to_{name}": f"delivery.{name}" for name in SAMPLE["delivery"]},
         without("delivery", **{f"to_{name}": value for name, value in SAMPLE["delivery"].items()})),
        ({"lines": "items", "items.sku": "items.nm_id"},
         without("items", lines=[{"sku" if name == "nm_id" else name: value
                                  for name, value in SAMPLE["items"][0].items()}])),
        ({"items.article.id": "items.chrt_id"},
         without(items=[{"article": {"id": value}} | SAMPLE["items"][0] | {"chrt_id": value}
                        for value in [SAMPLE["items"][0]["chrt_id"]]])),
    ],
)  # fmt: skip
def test_a_field_is_read_under_its_alias(aliases: dict[str, str], document: Document) -> None:
    assert decoded(decoder_with(aliases=aliases), document) == SAMPLE


def test_a_field_under_its_own_name_takes_precedence_over_its_alias() -> None:
    decoder = decoder_with(aliases={"shard_key": "shardkey"})
    assert decoded(decoder, SAMPLE | {"shard_key": "other"}) == SAMPLE
    assert decoder.unknown == 1


def test_an_aliased_field_is_not_counted_as_unknown() -> None:
    decoder = decoder_with(aliases={"shard_key": "shardkey"})
    decoder.decode(encoded(without("shardkey", shard_key="9")))
    assert decoder.unknown == 0


def test_an_optional_field_is_read_under_its_alias() -> None:
    document = without("internal_signature", signature="s")
    assert decoded(decoder_with(aliases={"signature": "internal_signature"}), document)["internal_signature"] == "s"


@pytest.mark.parametrize("value", [b"7", b'"text"', b"[]", b"null"])
def test_a_violation_names_the_field_whatever_its_alias_contains(value: bytes) -> None:
    decoder = decoder_with(aliases={"zip": "delivery.zip", "items.sku": "items.nm_id"})
    for path in ("delivery", "items"):
        assert [each.path for each in decoder.rejection(with_text(path, value)).violations] == [path]


# Defaults


def test_a_missing_field_has_its_default() -> None:
    decoder = decoder_with(defaults={"locale": "en", "delivery.region": "none", "items.sale": 5})
    document = without("locale")
    document["delivery"] = {name: value for name, value in SAMPLE["delivery"].items() if name != "region"}
    document["items"] = [
        {name: value for name, value in SAMPLE["items"][0].items() if name != "sale"},
        SAMPLE["items"][0],
    ]
    found = decoded(decoder, document)
    assert (found["locale"], found["delivery"]["region"]) == ("en", "none")
    assert [item["sale"] for item in found["items"]] == [5, SAMPLE["items"][0]["sale"]]


def test_a_default_does_not_replace_an_invalid_value_or_a_missing_part() -> None:
    decoder = decoder_with(defaults={"locale": "en", "delivery.region": "none"})
    assert [each.path for each in decoder.rejection(encoded(changed("locale", None))).violations] == ["locale"]
    assert [each.path for each in decoder.rejection(encoded(without("delivery"))).violations] == ["delivery"]


# Integers


@pytest.mark.parametrize("token", [b'"317"', b'"317.0"', b'"317.00"', b"317.0", b"3.17e2"])
def test_an_integer_in_another_type_is_accepted_and_counted(token: bytes) -> None:
    decoder = decoder_with(coerce=True)
    value = with_text("payment.goods_total", token)
    assert decoder.decode(value).payment.goods_total == 317
    assert decoder.coerced == 1
    assert "payment.goods_total" in str(CountingDecoder().rejection(value))


@pytest.mark.parametrize(
    "token",
    [b'"317.5"', b"317.5", b'""', b'" 317"', b'"0x10"', b'"317e0"', b'"\xd9\xa3"', b"9007199254740994.0", b"1e300",
     b'"-1"', b'"99999999999999999999"', b'"9223372036854775808"', b"true", b"null", b"[317]"],
)  # fmt: skip
def test_what_is_no_exact_integer_of_the_field_is_rejected(token: bytes) -> None:
    decoder = decoder_with(coerce=True)
    rejection = decoder.rejection(with_text("payment.goods_total", token))
    assert [each.path for each in rejection.violations] == ["payment.goods_total"]
    assert decoder.coerced == 0


def test_every_integer_is_coerced_and_no_text_becomes_one() -> None:
    texts = msgspec.json.decode(encoded(SAMPLE), strict=False)
    for part in (texts, texts["payment"], *texts["items"]):
        part.update({name: str(value) for name, value in part.items() if isinstance(value, int)})
    decoder = decoder_with(coerce=True)
    assert decoded(decoder, texts) == SAMPLE
    assert decoder.coerced == 12
    assert [each.path for each in decoder.rejection(encoded(changed("locale", 1))).violations] == ["locale"]


@pytest.mark.parametrize(("value", "is_accepted"), [("317", True), ("317.00", True), ("3.5", False), ("1E+400", False),
                                                    ("NaN", False), ("Infinity", False)])  # fmt: skip
def test_a_decimal_of_an_object_is_accepted_if_it_is_an_integer(value: str, is_accepted: bool) -> None:  # noqa: FBT001
    document = changed("payment.goods_total", Decimal(value))
    assert FieldMapping(coerce=True).apply(document) == is_accepted
    assert (document["payment"]["goods_total"] == 317) == is_accepted


@pytest.mark.parametrize("document", [None, 7, [], "text", {}, {"items": 7}, {"items": [7, [], {}]}, {"payment": []}])
def test_a_document_of_another_shape_is_left_to_the_rules(document: Any) -> None:
    mapping = FieldMapping(
        {"a.b": "locale", "items.a": "items.rid"}, {"delivery.zip": "1", "items.sale": 0}, coerce=True
    )
    assert mapping.apply(document) == 0


@pytest.mark.parametrize(("count", "is_changed"), [(MAX_ITEMS, True), (MAX_ITEMS + 1, False)])
def test_items_are_not_changed_if_there_are_too_many(count: int, is_changed: bool) -> None:  # noqa: FBT001
    """A message of 1 MiB could have a third of a million items, which took two seconds."""
    items = [{"sku": 1, "price": "1"} for _ in range(count)]
    mapping = FieldMapping({"items.sku": "items.nm_id"}, {"items.sale": 0}, coerce=True)
    assert mapping.apply({"items": items}) == (count if is_changed else 0)
    changed_item = {"nm_id": 1, "price": 1, "sale": 0}
    assert all(item == (changed_item if is_changed else {"sku": 1, "price": "1"}) for item in items)
