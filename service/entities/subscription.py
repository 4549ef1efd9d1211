"""The topics that the consumer group reads: by name, or by a pattern."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

INTERNAL_PREFIX: Final = "__"
"""How the names of Kafka's internal topics start."""
_INTERNAL_TOPICS: Final = ("__consumer_offsets", "__transaction_state", "__share_group_state")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A pattern includes neither the dead-letter topic nor topics whose names start with INTERNAL_PREFIX."""

    names: tuple[str, ...]
    """Empty with a pattern."""
    pattern: str = ""
    """A regular expression that starts with `^`. It matches a topic if it matches the start of the name."""
    dead_letter_topic: str = ""

    def __str__(self) -> str:
        return f"topics that match {self.pattern}" if self.pattern else ", ".join(self.names)

    @property
    def anchored_pattern(self) -> str:
        """The pattern with `^` before each of its alternatives."""
        return f"^({self.pattern.removeprefix('^')})"

    def includes(self, topic: str) -> bool:
        if not self.pattern:
            return topic in self.names
        return topic != self.dead_letter_topic and not topic.startswith(INTERNAL_PREFIX) and self._matches(topic)

    def select(self, existing: Iterable[str]) -> list[str]:
        """Return the included topics, sorted by name."""
        return sorted(filter(self.includes, existing))

    def missing(self, existing: Collection[str]) -> list[str]:
        """Return the named topics that do not exist, sorted by name."""
        return sorted({*self.names}.difference(existing))

    @property
    def matches_excluded_topics(self) -> bool:
        """Whether the pattern matches topics that it does not include."""
        return bool(self.pattern) and any(map(self._matches, (self.dead_letter_topic, *_INTERNAL_TOPICS)))

    def _matches(self, topic: str) -> bool:
        return re.match(self.anchored_pattern, topic) is not None
