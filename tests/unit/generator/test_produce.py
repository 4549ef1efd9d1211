"""RateLimiter, timestamps and progress, with fake clocks."""

import io

import pytest

from generator.produce import Clock, RateLimiter, Tally
from generator.progress import ProgressLine
from generator.stream import STALE_BY_MS, Message
from tests.kit.fakes import FakeClock

ORDER = Message(b"uid", b"{}", "valid")
LIMIT = 1_000_000
STALE = ORDER._replace(timestamp_offset_ms=-STALE_BY_MS)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def sent_within(limiter: RateLimiter, time: FakeClock, seconds: float) -> int:
    """Return the number of messages that the limiter allows within `seconds`."""
    end, sent = time.now + seconds, 0
    while (due := time.now + limiter.delay()) < end and sent < LIMIT:
        time.now = due
        limiter.advance()
        sent += 1
    time.now = end
    return sent


@pytest.mark.parametrize("rate", [1, 7, 1_000, 20_000])
def test_the_rate_is_exact(rate: int) -> None:
    time = FakeClock()
    assert sent_within(RateLimiter(rate, time), time, 10) == pytest.approx(10 * rate, rel=0.01, abs=1)


def test_messages_are_spread_evenly() -> None:
    time = FakeClock()
    limiter = RateLimiter(100, time)
    assert [sent_within(limiter, time, 0.1) for _ in range(10)] == pytest.approx([10] * 10, abs=1)


def test_at_most_a_second_of_delay_is_caught_up() -> None:
    time = FakeClock()
    limiter = RateLimiter(100, time)
    time.now += 60
    burst = 0
    while not limiter.delay():
        limiter.advance()
        burst += 1
    assert burst == pytest.approx(100, abs=2)


def test_without_a_rate_there_is_no_delay() -> None:
    limiter = RateLimiter(0, FakeClock())
    for _ in range(1_000):
        assert limiter.delay() == 0
        limiter.advance()


def test_messages_have_the_time_of_sending() -> None:
    time = FakeClock()
    clock = Clock(wall=lambda: 5_000.0, now=time)
    time.now += 2.5
    assert clock.timestamp_ms(ORDER) == 5_002_500


def test_a_stale_message_is_older_than_the_start_of_the_run() -> None:
    time = FakeClock()
    clock = Clock(wall=lambda: 5_000.0, now=time)
    time.now += 86_400
    assert clock.timestamp_ms(STALE) == 5_000_000 - STALE_BY_MS


def test_progress_is_shown_on_a_terminal() -> None:
    terminal = Terminal()
    progress = ProgressLine(terminal, 100, interval_seconds=0)
    progress(Tally(delivered=50))
    assert "[###############...............] 50 of 100" in terminal.getvalue()


def test_progress_without_end_has_no_bar() -> None:
    terminal = Terminal()
    ProgressLine(terminal, 0, interval_seconds=0)(Tally(delivered=50))
    assert "50 delivered" in terminal.getvalue()


def test_progress_is_not_written_to_other_files() -> None:
    file = io.StringIO()
    progress = ProgressLine(file, 100, interval_seconds=0)
    progress(Tally(delivered=50))
    progress.close()
    assert not file.getvalue()
