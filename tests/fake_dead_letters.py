"""A stand-in for the port DeadLetterReader; what the real one does is `tests/integration/test_browse.py`."""

from dataclasses import dataclass, field

from service.entities.errors import KafkaUnavailable
from service.usecases.ports import DeadLetterPage, DeadLetterQuery


@dataclass
class FakeDeadLetters:
    """Answers each query with the same page, and remembers the queries."""

    answer: DeadLetterPage = field(default_factory=lambda: DeadLetterPage([], None))
    is_away: bool = False
    queries: list[DeadLetterQuery] = field(default_factory=list)

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        self.queries.append(query)
        if self.is_away:
            raise KafkaUnavailable("away")
        return self.answer
