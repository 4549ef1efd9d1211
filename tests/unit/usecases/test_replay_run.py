"""What one run of a replay sends, commits and reports, and when it ends."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from service.entities.dead_letter_headers import Header
from service.entities.dead_letter_record import DeadLetterId, DeadLetterRecord
from service.entities.subscription import Subscription
from service.errors import KafkaRequestFailed, TooManyDeadLetters
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.ports.dead_letters import DeadLetterFilters
from service.usecases.ports.replay import EditedValue, OfOrder, ReplayRefusal, ReplayRequest, ReplayResult, Selected
from service.usecases.replay import Replay, ReplayPlan
from service.usecases.selected_replay import MAX_SELECTED, MAX_SELECTED_BYTES, replay_selected

ORDERS = Subscription(("orders",))
SINCE = datetime(2026, 11, 23, tzinfo=UTC)


def dead_letter(offset: int, *, reason: str = "invalid", value: bytes = b"value", **headers: bytes) -> DeadLetterRecord:
    origin = {
        Header.TOPIC: b"orders", Header.PARTITION: b"2", Header.OFFSET: b"101", Header.TIMESTAMP: b"1700000000000",
    }  # fmt: skip
    named = {Header.REASON: reason.encode(), **origin} | {getattr(Header, name): text for name, text in headers.items()}
    return DeadLetterRecord(offset % 2, offset, 1_800_000_000_000, b"key", value, list(named.items()))


class RecordedStop(ShutdownEvent):
    """Records the waits instead of waiting; is set by the wait of this number."""

    def __init__(self, set_after: int = 1_000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._set_after = set_after

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if len(self.waits) >= self._set_after:
            self.set()
        return self.is_set()


class Topics:
    """Implements ReplaySource, ReplayTarget and ReplayObserver."""

    def __init__(self, *dead_letters: DeadLetterRecord) -> None:
        self.dead_letters = dead_letters
        self.too_large: list[DeadLetterRecord] = []
        self.since: list[datetime | None] = []
        self.chunks: list[list[int]] = []
        """The offsets of dead letters that were sent together."""
        self.values: list[bytes | None] = []
        self.committed: list[Mapping[int, int]] = []
        self.reported: list[tuple[int, ReplayRefusal | None]] = []
        self.stop_while_finding: ShutdownEvent | None = None

    def read_new(self, since: datetime | None) -> Iterator[DeadLetterRecord]:
        self.since.append(since)
        return iter(self.dead_letters)

    def find(self, partition: int, offset: int) -> DeadLetterRecord | None:
        if self.stop_while_finding:
            self.stop_while_finding.set()
            return None
        found = [each for each in self.dead_letters if each.id == (partition, offset)]
        return found[0] if found else None

    def find_order(self, order_uid: str) -> Iterator[DeadLetterId]:
        return (each.id for each in self.dead_letters if order_uid.encode() in (each.value or b""))

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed.append(offsets)

    def send(self, dead_letters: Sequence[DeadLetterRecord]) -> Sequence[DeadLetterRecord]:
        self.chunks.append([each.offset for each in dead_letters])
        self.values.extend(each.value for each in dead_letters)
        return self.too_large

    def on_sent(self, dead_letter: DeadLetterRecord) -> None:
        self.reported.append((dead_letter.offset, None))

    def on_refused(self, dead_letter: DeadLetterId, refusal: ReplayRefusal) -> None:
        self.reported.append((dead_letter.offset, refusal))


def run(topics: Topics, stop: RecordedStop | None = None, **options: Any) -> RecordedStop:
    stop = stop or RecordedStop()
    filters = options.pop("filters", DeadLetterFilters())
    Replay(ReplayPlan(ORDERS, filters, **options), topics, topics, stop).run(topics)
    return stop


def test_dead_letters_that_match_are_sent_and_the_offsets_after_all_are_committed() -> None:
    topics = Topics(dead_letter(1), dead_letter(2, reason="rejected"), dead_letter(3, STUB=b"true"), dead_letter(4))
    run(topics, filters=DeadLetterFilters(frozenset({"invalid"}), since=SINCE))
    assert topics.since == [SINCE]
    assert topics.chunks == [[1, 4]]
    assert topics.reported == [(3, ReplayRefusal.STUB), (1, None), (4, None)]
    assert topics.committed == [{1: 4, 0: 5}]


def test_what_was_sent_is_committed_before_more_is_sent() -> None:
    topics = Topics(*(dead_letter(offset, value=b"123456") for offset in (2, 4, 6)))
    run(topics, max_chunk_bytes=12)
    assert topics.chunks == [[2, 4], [6]]
    assert topics.committed == [{0: 5}, {0: 7}]


def test_dead_letters_that_are_too_large_are_refused() -> None:
    topics = Topics(dead_letter(1), dead_letter(2))
    topics.too_large = [topics.dead_letters[0]]
    run(topics)
    assert topics.reported == [(1, ReplayRefusal.TOO_LARGE), (2, None)]


@pytest.mark.parametrize(
    ("rate", "chunks", "waits"),
    [
        (0, [[1, 2, 3, 4, 5]], [0]),
        (2, [[1, 2], [3, 4], [5]], [1, 1, 0.5]),
        (0.5, [[1], [2], [3], [4], [5]], [2] * 5),
        (1_000, [[1, 2, 3, 4, 5]], [0.005]),
    ],
)
def test_a_second_is_never_followed_by_more_than_the_rate(
    rate: float, chunks: list[list[int]], waits: list[float]
) -> None:
    topics = Topics(*map(dead_letter, range(1, 6)))
    stop = run(topics, rate=rate)
    assert (topics.chunks, stop.waits) == (chunks, waits)


def test_at_most_500_are_sent_together() -> None:
    topics = Topics(*map(dead_letter, range(1_001)))
    run(topics)
    assert [len(chunk) for chunk in topics.chunks] == [500, 500, 1]


def test_a_stop_ends_the_run_after_a_committed_chunk() -> None:
    topics = Topics(*map(dead_letter, range(1, 6)))
    run(topics, RecordedStop(set_after=2), rate=2)
    assert topics.chunks == [[1, 2], [3, 4]]
    assert topics.committed == [{1: 2, 0: 3}, {1: 4, 0: 5}]


def test_nothing_is_sent_after_a_stop() -> None:
    topics, stop = Topics(dead_letter(1)), RecordedStop()
    stop.set()
    run(topics, stop)
    assert (topics.chunks, topics.committed) == ([], [])


def test_the_limit_counts_what_is_sent() -> None:
    topics = Topics(dead_letter(1, STUB=b"true"), dead_letter(2), dead_letter(3), dead_letter(4))
    run(topics, limit=2)
    assert topics.chunks == [[2, 3]]
    assert topics.committed == [{1: 4, 0: 3}]


def test_named_dead_letters_are_sent_without_a_commit() -> None:
    topics = Topics(dead_letter(1), dead_letter(2))
    run(topics, named=[DeadLetterId(0, 2), DeadLetterId(0, 9)])
    assert topics.chunks == [[2]]
    assert topics.committed == []
    assert topics.reported == [(9, ReplayRefusal.MISSING), (2, None)]


def test_a_dead_letter_that_a_stop_keeps_from_being_found_is_not_missing() -> None:
    topics, stop = Topics(dead_letter(1)), RecordedStop()
    topics.stop_while_finding = stop
    run(topics, stop, named=[DeadLetterId(1, 1)])
    assert topics.reported == []


def test_a_preview_reports_and_sends_nothing() -> None:
    topics = Topics(dead_letter(1), dead_letter(2, STUB=b"true"), dead_letter(3, reason="rejected"))
    filters = DeadLetterFilters(frozenset({"invalid"}))
    Replay(ReplayPlan(ORDERS, filters), topics, topics, RecordedStop()).preview()
    assert topics.reported == [(1, None), (2, ReplayRefusal.STUB)]
    assert (topics.chunks, topics.committed) == ([], [])


def replay(
    topics: Topics, which: Selected | OfOrder, stop: ShutdownEvent | None = None, **options: Any
) -> list[tuple[int, ReplayRefusal | None]]:
    read_uid = options.pop("read_uid", lambda _: None)
    request = ReplayRequest(which, "alice", options.pop("max_replays", 3), **options)
    results = replay_selected(request, ORDERS, topics, topics, stop or RecordedStop(), read_uid)
    assert all(isinstance(each, ReplayResult) for each in results)
    return [(result.dead_letter.offset, result.refusal) for result in results]


def test_the_results_have_the_order_of_the_request_and_each_place_once() -> None:
    topics = Topics(dead_letter(1), dead_letter(2, STUB=b"true"), dead_letter(3))
    ids = [DeadLetterId(1, 3), DeadLetterId(1, 9), DeadLetterId(0, 2), DeadLetterId(1, 1), DeadLetterId(1, 3)]
    assert replay(topics, Selected(ids)) == [
        (3, None), (9, ReplayRefusal.MISSING), (2, ReplayRefusal.STUB), (1, None),
    ]  # fmt: skip
    assert topics.chunks == [[3, 1]]
    assert topics.committed == []


def test_a_dry_run_sends_nothing() -> None:
    topics = Topics(dead_letter(1))
    assert replay(topics, Selected([DeadLetterId(1, 1)]), is_dry_run=True) == [(1, None)]
    assert topics.chunks == []


def test_the_options_of_the_request_are_used() -> None:
    topics, stop = Topics(dead_letter(1, REPLAYS=b"1"), dead_letter(3)), RecordedStop()
    ids = [each.id for each in topics.dead_letters]
    assert replay(topics, Selected(ids), stop, max_replays=1, rate=10) == [
        (1, ReplayRefusal.REPLAYED_TOO_OFTEN), (3, None),
    ]  # fmt: skip
    assert stop.waits == [0.1]


def test_the_edited_value_is_sent() -> None:
    topics = Topics(dead_letter(1, value=b'{"order_uid": "a"}'))
    assert replay(topics, OfOrder("a"), edited=EditedValue(b"edited", "a")) == [(1, None)]
    assert topics.values == [b"edited"]


def test_an_edited_value_of_another_order_than_the_consumer_reads_is_refused() -> None:
    topics, edited = Topics(dead_letter(1, value=b"\0a")), EditedValue(b"edited", "a")
    assert replay(topics, OfOrder("a"), edited=edited, read_uid=lambda _: "b") == [(1, ReplayRefusal.OTHER_ORDER)]


def test_few_large_values_are_in_memory() -> None:
    topics = Topics(*(dead_letter(offset, value=bytes(MAX_SELECTED_BYTES // 2)) for offset in (1, 3, 5)))
    replay(topics, Selected([each.id for each in topics.dead_letters]))
    assert topics.chunks == [[1, 3], [5]]


def test_the_dead_letters_of_an_order_are_sent_by_partition_and_offset() -> None:
    topics = Topics(dead_letter(5, value=b"a"), dead_letter(4, value=b"a"), dead_letter(3, value=b"b"))
    assert replay(topics, OfOrder("a")) == [(4, None), (5, None)]


def test_an_order_with_too_many_dead_letters_is_refused_before_anything_is_sent() -> None:
    topics = Topics(*map(dead_letter, range(MAX_SELECTED)))
    assert len(replay(topics, OfOrder("value"))) == MAX_SELECTED
    topics = Topics(*map(dead_letter, range(MAX_SELECTED + 1)))
    with pytest.raises(TooManyDeadLetters, match=f"{MAX_SELECTED}"):
        replay(topics, OfOrder("value"))
    assert topics.chunks == []


def test_the_search_ends_at_the_first_dead_letter_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = Topics()
    found = (DeadLetterId(0, offset) for offset in range(MAX_SELECTED + 5))
    monkeypatch.setattr(topics, "find_order", lambda _: found)
    with pytest.raises(TooManyDeadLetters):
        replay(topics, OfOrder("value"))
    assert next(found).offset == MAX_SELECTED + 1


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_replay_that_is_stopped_fails(*, is_dry_run: bool) -> None:
    topics, stop = Topics(dead_letter(1)), RecordedStop()
    topics.stop_while_finding = stop
    with pytest.raises(KafkaRequestFailed, match=r"^the dead-letter topic cannot be read in time$"):
        replay(topics, Selected([DeadLetterId(1, 1)]), stop, is_dry_run=is_dry_run)
    assert topics.chunks == []


def test_nothing_is_sent_if_the_order_could_not_be_searched_in_time() -> None:
    topics, stop = Topics(dead_letter(1)), RecordedStop()
    stop.set()
    with pytest.raises(KafkaRequestFailed, match="in time"):
        replay(topics, OfOrder("value"), stop)
    assert (topics.chunks, topics.reported) == ([], [])
