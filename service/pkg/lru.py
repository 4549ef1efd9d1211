"""A cache of immutable bytes that forgets what was not used for the longest time."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

ENTRY_OVERHEAD: Final = 240
"""Bytes that an entry takes beyond its ASCII key and its value, measured as resident memory of 10,000 to 100,000
entries of 600 to 3,000 bytes: both objects' heads, the allocator's rounding, the ordered dict's node and slot."""


class Lru:
    """Holds at most `max_entries` and `max_bytes`, overhead included. Every call is O(1) but `clear`, and thread-safe.

    Values are handed out as they are: nobody can change bytes.
    """

    def __init__(self, max_entries: int, max_bytes: int, on_evict: Callable[[], None] = lambda: None) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._on_evict = on_evict
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes held, overhead included."""
        return self._size

    def get(self, key: str) -> bytes | None:
        """Return the value, which is then the most recently used one."""
        # Without the lock: each of the two is atomic, and an entry that goes between them is a miss.
        try:
            self._entries.move_to_end(key)
            return self._entries[key]
        except KeyError:
            return None

    def put(self, key: str, value: bytes) -> None:
        """Keep the value as the most recently used one; one that is larger than the whole cache is not kept."""
        with self._lock:
            self._remove(key)
            if _cost(key, value) <= self._max_bytes:
                self._add(key, value)
                self._shrink()

    def fill(self, key: str, value: bytes) -> bool:
        """Keep the value as the least recently used one, if there is room; a value that is there stays.

        False when there is no room: nothing is evicted for it.
        """
        with self._lock:
            if key in self._entries:
                return True
            if len(self._entries) >= self._max_entries or self._size + _cost(key, value) > self._max_bytes:
                return False
            self._add(key, value)
            self._entries.move_to_end(key, last=False)
            return True

    def discard(self, key: str) -> None:
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._size = 0

    def _add(self, key: str, value: bytes) -> None:
        self._entries[key] = value
        self._size += _cost(key, value)

    def _remove(self, key: str) -> None:
        value = self._entries.pop(key, None)
        if value is not None:
            self._size -= _cost(key, value)

    def _shrink(self) -> None:
        while len(self._entries) > self._max_entries or self._size > self._max_bytes:
            key, value = self._entries.popitem(last=False)
            self._size -= _cost(key, value)
            self._on_evict()


def _cost(key: str, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD
