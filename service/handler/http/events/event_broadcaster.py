"""Sends events to all clients of `/events` as Server-Sent Events.

All streams read one ring buffer, each after its own last event, so a slow stream uses no additional memory. A
stream that falls behind the buffer gets a `reset` event; a client that reads nothing for STALL_SECONDS is disconnected.
Streams with summaries continue when the summaries of the next events have been read.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from service.handler.http.events.event_buffer import EventBuffer
from service.handler.http.events.event_stream import EventStream
from service.handler.http.events.summary_loader import ReadSummaries, SummaryLoader
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.usecases.ports.reads import Notification


class EventBroadcaster:
    """Implements usecases.ports.reads.EventPublisher.

    Belongs to one event loop. Buffers `buffer_size` events for at most `max_clients` streams.

    `on_drop` is called for each client that is disconnected because it does not read.
    """

    def __init__(
        self,
        read_summaries: ReadSummaries,
        *,
        buffer_size: int,
        max_clients: int,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._buffer = EventBuffer(buffer_size)
        self._max_clients = max_clients
        self._on_drop = on_drop
        self._plain_streams: set[EventStream] = set()
        self._summary_streams: set[EventStream] = set()
        self._summaries = SummaryLoader(read_summaries, self._buffer.after, self._wake_summary_streams)
        self._is_closed = False

    @property
    def clients(self) -> int:
        return len(self._plain_streams) + len(self._summary_streams)

    def publish(self, notification: Notification) -> None:
        """Publish an event for each order, new ones first."""
        last = self._buffer.newest
        self._buffer.add(notification)
        _wake(self._plain_streams)
        if self._summary_streams:
            self._summaries.request(last)

    def reset(self, since: datetime | None = None) -> None:
        """Publish that events since this time may be missing (None: at any time)."""
        self._buffer.add_reset(since)
        _wake(self._plain_streams)
        self._wake_summary_streams()

    def close(self) -> None:
        """End all streams cleanly, and refuse new ones."""
        self._is_closed = True
        self._summaries.close()
        for stream in self._plain_streams | self._summary_streams:
            stream.close()

    def disconnect_all(self) -> None:
        """Cut all streams. Clients reconnect, which checks their API keys again."""
        for stream in self._plain_streams | self._summary_streams:
            stream.disconnect()

    def open(self, last_event_id: str | None, *, with_summaries: bool = False) -> EventStream:
        """Return a stream that begins after that event, or now. Raises Problem (503) at the limit of clients."""
        if self.clients >= self._max_clients or self._is_closed:
            raise Problem(ProblemType.TOO_MANY_EVENT_STREAMS, "too many event streams")
        stream = EventStream(
            self._buffer,
            self._after_with_summaries if with_summaries else self._after,
            self._buffer.find_number(last_event_id) if last_event_id else self._buffer.newest,
            on_drop=self._on_drop,
            on_end=self._remove,
        )
        (self._summary_streams if with_summaries else self._plain_streams).add(stream)
        return stream

    def _remove(self, stream: EventStream) -> None:
        self._plain_streams.discard(stream)
        self._summary_streams.discard(stream)

    def _after(self, number: int) -> list[bytes]:
        return [event.plain for event in self._buffer.after(number)]

    def _after_with_summaries(self, number: int) -> list[bytes]:
        """Return the events up to the first one whose summary is missing, and request that if it comes first."""
        events = self._buffer.after(number)
        encoded = list[bytes]()
        for event in events:
            if event.with_summary is None:
                break
            encoded.append(event.with_summary)
        if events and not encoded:
            self._summaries.request(number)
        return encoded

    def _wake_summary_streams(self) -> None:
        _wake(self._summary_streams)


def _wake(streams: Iterable[EventStream]) -> None:
    for stream in streams:
        stream.wake()
