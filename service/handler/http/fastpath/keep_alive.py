"""uvicorn's protocol, whose idle connections can be closed in favor of new ones."""

from typing import Any

from service.handler.http.fastpath.idle import IdleConnections
from service.handler.http.fastpath.upgrade import UpgradeIgnoringProtocol


class KeepAliveProtocol(UpgradeIgnoringProtocol):
    """Keeps the connection in `idle` while its keep-alive timer runs."""

    def __init__(self, idle: IdleConnections, keep_alive_seconds: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = keep_alive_seconds  # type: ignore[assignment]  # uvicorn declares an int
        self.last_hit_at = 0.0
        """Loop time."""
        self._idle = idle

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless there was a hit since the timer started: restarting the timer at each hit is slower."""
        remaining = self.last_hit_at + self.timeout_keep_alive - self.loop.time()
        if remaining > 0:
            self.start_keep_alive_timer(remaining)
        else:
            super().timeout_keep_alive_handler()

    def start_keep_alive_timer(self, seconds: float) -> None:
        super().start_keep_alive_timer(seconds)
        self._idle.add(self, self.loop.time())

    def cancel_keep_alive_timer(self) -> None:
        super().cancel_keep_alive_timer()
        self._idle.discard(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.is_keep_alive_timer_running:  # uvicorn has started it
            self._idle.add(self, self.loop.time())
