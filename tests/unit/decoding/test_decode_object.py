"""Documents that a format has already parsed follow the rules of JSON text."""

from datetime import UTC, datetime
from typing import Any

import pytest

from service.entities.dead_letter import Reason
from service.errors import DocumentRejected
from tests.kit.decoding import CountingDecoder, encoded
from tests.kit.factories import order_document

CREATED = datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC)


def test_an_object_gives_the_order_of_its_json() -> None:
    decoder, document = CountingDecoder(), order_document()
    expected = decoder.decode(encoded(document))
    assert decoder.decode_object(document) == expected
    assert decoder.decode_object(document | {"date_created": CREATED}) == expected


def test_unknown_fields_are_ignored_and_counted() -> None:
    decoder = CountingDecoder()
    decoder.decode_object(order_document() | {"extra": 1})
    assert decoder.unknown == 1


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"entry": "a\0b"}, "entry: contains a NUL character"),
        ({"sm_id": "7"}, "sm_id: Expected int, got str"),
        ({"date_created": CREATED.replace(tzinfo=None)}, "date_created: "),
        ({"date_created": CREATED.replace(year=9999)}, "date_created: is in the future"),
    ],
)
def test_an_object_that_violates_a_rule_is_rejected(changes: dict[str, Any], violation: str) -> None:
    with pytest.raises(DocumentRejected) as rejected:
        CountingDecoder().decode_object(order_document() | changes)
    assert rejected.value.reason is Reason.INVALID
    assert str(rejected.value.violations[0]).startswith(violation)


def test_an_escaped_backslash_is_no_nul() -> None:
    assert CountingDecoder().decode_object(order_document() | {"entry": "\\u0000"}).entry == "\\u0000"
