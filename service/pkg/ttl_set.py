"""A set of keys that expire."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic


class TTLSet:
    """A key expires `seconds` after its last `add`. Beyond `max_entries`, the oldest is evicted. Not thread-safe."""

    def __init__(self, max_entries: int, seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._max_entries = max_entries
        self._seconds = seconds
        self._now = now
        self._expiry: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        expiry = self._expiry.get(key)
        return expiry is not None and self._now() < expiry

    def __len__(self) -> int:
        return len(self._expiry)

    def add(self, key: str) -> None:
        self._expiry.pop(key, None)
        self._expiry[key] = self._now() + self._seconds
        if len(self._expiry) > self._max_entries:
            self._expiry.popitem(last=False)

    def discard(self, key: str) -> None:
        self._expiry.pop(key, None)

    def clear(self) -> None:
        self._expiry.clear()
