"""Timestamps as Kafka, RFC 3339 and people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from service.pkg.timestamps import (
    from_microseconds,
    from_milliseconds,
    parse_timestamp,
    parse_timestamp_or_age,
    rfc3339,
    to_milliseconds,
)

TIME = datetime(2026, 11, 23, 10, 0, 0, 123_000, UTC)
MILLISECONDS = 1_795_428_000_123


def test_a_timestamp_is_printed_in_utc_with_milliseconds() -> None:
    assert rfc3339(TIME) == "2026-11-23T10:00:00.123Z"
    assert rfc3339(datetime(2026, 11, 23, tzinfo=UTC)) == "2026-11-23T00:00:00.000Z"


def test_timestamps_of_kafka_are_milliseconds_since_1970() -> None:
    assert from_milliseconds(MILLISECONDS) == TIME
    assert from_microseconds(MILLISECONDS * 1_000 + 1) == TIME + timedelta(microseconds=1)
    assert to_milliseconds(TIME) == MILLISECONDS
    assert to_milliseconds(TIME + timedelta(microseconds=501)) == MILLISECONDS + 1


@pytest.mark.parametrize("text", ["2026-11-23T10:00:00.123Z", "2026-11-23T12:00:00.123+02:00"])
def test_a_timestamp_with_any_time_zone_is_parsed(text: str) -> None:
    assert parse_timestamp(text) == TIME
    assert parse_timestamp_or_age(text) == TIME


def test_the_time_zone_is_kept() -> None:
    assert parse_timestamp("2026-11-23T12:00:00+02:00").tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23T10:00:00", "2026-13-23T10:00:00Z"])
def test_an_error_says_what_a_timestamp_looks_like_and_does_not_repeat_the_text(text: str) -> None:
    form = "must be a timestamp with a time zone, such as 2026-11-23T10:00:00Z"
    with pytest.raises(ValueError, match=f"^{form}$") as error:
        parse_timestamp(text)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    with pytest.raises(ValueError, match=f"^{form}, or an age such as 40d$"):
        parse_timestamp_or_age(text)


def test_an_age_is_the_time_this_long_ago() -> None:
    before, found = datetime.now(UTC), parse_timestamp_or_age("1h30m")
    assert before <= found + timedelta(hours=1.5) <= datetime.now(UTC)


def test_an_age_before_the_first_year_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^must be at most 2000 years ago$"):
        parse_timestamp_or_age("900000d")
