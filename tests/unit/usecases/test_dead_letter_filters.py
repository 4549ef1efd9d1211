"""A filter matches reasons, times of arrival and orders."""

from datetime import UTC, datetime

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord
from service.usecases.dead_letter_filters import matches
from service.usecases.ports.dead_letters import DeadLetterFilters

PLAIN = DeadLetterRecord(0, 7, 1_000, b"k", b"v", [(Header.REASON, b"invalid")])


def test_a_filter_matches_only_its_reasons_and_times() -> None:
    second = datetime.fromtimestamp(1, UTC)
    assert matches(DeadLetterFilters(), PLAIN)
    assert matches(DeadLetterFilters(frozenset({"invalid"}), second), PLAIN)
    assert not matches(DeadLetterFilters(frozenset({"rejected"})), PLAIN)
    assert not matches(DeadLetterFilters(since=second), PLAIN._replace(timestamp_ms=999))


def test_a_filter_without_times_matches_a_dead_letter_without_timestamp() -> None:
    assert matches(DeadLetterFilters(), PLAIN._replace(timestamp_ms=-1))


def test_a_filter_excludes_the_time_at_which_it_ends() -> None:
    filters = DeadLetterFilters(until=datetime.fromtimestamp(1, UTC))
    assert matches(filters, PLAIN._replace(timestamp_ms=999))
    assert not matches(filters, PLAIN)


def test_a_filter_matches_a_text_in_the_detail_in_upper_or_lower_case() -> None:
    dead_letter = PLAIN._replace(value=b"secret", headers=[(Header.DETAIL, b"payment.amount: Expected `int`")])
    assert matches(DeadLetterFilters(text="AMOUNT: expected"), dead_letter)
    assert not matches(DeadLetterFilters(text="secret"), dead_letter)


def test_a_filter_matches_the_dead_letters_of_its_order_by_key_or_document() -> None:
    filters = DeadLetterFilters(order="order-1")
    assert matches(filters, PLAIN._replace(key=b"order-1"))
    assert matches(filters, PLAIN._replace(value=b'{"order_uid": "order-1"}'))
    assert not matches(filters, PLAIN)
