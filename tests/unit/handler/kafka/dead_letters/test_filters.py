"""Dead letters, filters and what a replay sends, without a broker."""

from datetime import UTC, datetime

import pytest

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterRecord, printable
from service.handler.kafka.dead_letters.filters import Filters
from service.handler.kafka.dead_letters.replay import replay_headers
from service.handler.kafka.dead_letters.replay_plan import ReplayPlan

PLAIN = DeadLetterRecord(0, 7, 1_000, b"k", b"v", [(Header.REASON, b"invalid")])


def test_the_last_of_two_headers_of_one_name_counts() -> None:
    assert PLAIN._replace(headers=[(Header.REASON, b"old"), (Header.REASON, b"new")]).reason == "new"


def test_the_excerpt_of_a_dead_letter_is_bounded() -> None:
    """Anyone who may write to a topic can fill headers as well as values."""
    foreign = [(f"header-{number}", b"x" * 100_000) for number in range(10)]
    repeated = [(Header.DETAIL, b"x" * 100_000), (Header.REASON, None), ("dlq-of-others", b"x")] * 10
    dead_letter = PLAIN._replace(headers=[*foreign, *repeated, (Header.REASON, b"rejected"), *foreign])
    shown = dead_letter.excerpt(5).dead_letter
    assert [name for name, _ in shown.headers] == [Header.DETAIL, Header.REASON, Header.REASON]
    assert sum(len(value or b"") for _, value in shown.headers) < 5_000
    assert (shown.reason, shown.text(Header.DETAIL)[:5]) == ("rejected", "xxxxx")


def test_a_dead_letter_without_a_reason_is_listed_as_unknown() -> None:
    assert PLAIN._replace(headers=[]).reason == "unknown"


def test_a_filter_matches_only_its_reasons_and_times() -> None:
    second = datetime.fromtimestamp(1, UTC)
    assert Filters().matches(PLAIN)
    assert Filters(frozenset({"invalid"}), second).matches(PLAIN)
    assert not Filters(frozenset({"rejected"})).matches(PLAIN)
    assert not Filters(since=second).matches(PLAIN._replace(timestamp_ms=999))


def test_each_selection_has_a_group_of_its_own_and_limits_do_not_change_it() -> None:
    plain = ReplayPlan("orders", Filters())
    same = ReplayPlan("orders", Filters(), limit=5, rate=3)
    others = [
        ReplayPlan("other", Filters()),
        ReplayPlan("orders", Filters(frozenset({"invalid"}))),
        ReplayPlan("orders", Filters(since=datetime.fromtimestamp(1, UTC))),
        ReplayPlan("orders", Filters(), max_replays=9),
    ]
    assert plain.group("orders") == same.group("orders")
    assert len({plan.group("orders") for plan in [plain, *others]}) == 5
    assert plain.group("orders").startswith("orders.dlq-replay.")


def test_a_replay_keeps_foreign_headers_and_replaces_dlq_headers() -> None:
    dead_letter = PLAIN._replace(
        headers=[("a", None), (Header.DETAIL, b"x"), (Header.OFFSET, b"5"), (Header.REPLAYS, b"2")]
    )
    assert replay_headers(dead_letter) == [("a", None), (Header.OFFSET, b"5"), (Header.REPLAYS, b"3")]


@pytest.mark.parametrize(("raw", "shown"), [(b"a\x1b[2Jb", "a�[2Jb"), (b"\xff", "�"), (None, ""), ("é\n", "é�")])
def test_control_characters_are_replaced(raw: bytes | str | None, shown: str) -> None:
    assert printable(raw) == shown
