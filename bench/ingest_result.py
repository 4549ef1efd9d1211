"""The result that an ingest baseline reports to its parent process."""

import msgspec


class IngestResult(msgspec.Struct, frozen=True):
    messages: int
    """Messages between the first commit and the last. Those of the first commit do not count."""
    seconds: float
    """Seconds between the first commit and the last."""
    all_messages: int
    """All messages, including those of the first commit."""
    cpu_seconds: float
    """CPU time of the client for all messages."""

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of one message."""
        return self.cpu_seconds / self.all_messages * 1e6

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()
