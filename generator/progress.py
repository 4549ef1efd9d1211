"""A progress bar on a terminal."""

import time
from typing import Final, TextIO

from generator.produce import Tally

REDRAW_INTERVAL_SECONDS: Final = 0.1
WIDTH: Final = 30
CLEAR_LINE: Final = "\r\x1b[K"


class ProgressLine:
    """Writes nothing unless `out` is a terminal. `count` is the total number of messages, 0 for no limit."""

    def __init__(self, out: TextIO, count: int, interval_seconds: float = REDRAW_INTERVAL_SECONDS) -> None:
        self._out, self._count, self._interval_seconds = out, count, interval_seconds
        self._is_terminal = out.isatty()
        self._started_at = self._drawn_at = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if self._is_terminal and now - self._drawn_at >= self._interval_seconds:
            self._drawn_at = now
            self._write(CLEAR_LINE + self._line(tally.delivered, tally.delivered / (now - self._started_at)))

    def close(self) -> None:
        if self._is_terminal:
            self._write(CLEAR_LINE)

    def _line(self, delivered: int, rate: float) -> str:
        if not self._count:
            return f"{delivered:,} delivered, {rate:,.0f}/s"
        filled = WIDTH * delivered // self._count
        return f"[{'#' * filled}{'.' * (WIDTH - filled)}] {delivered:,} of {self._count:,}, {rate:,.0f}/s"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
