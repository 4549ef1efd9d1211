"""A fake of the port DeadLetterReader; tests/integration/test_browse.py tests the real one."""

from dataclasses import dataclass, field

from service.errors import KafkaUnavailable
from service.usecases.ports import DeadLetterPage, DeadLetterQuery


@dataclass
class FakeDeadLetters:
    """Returns the same page for each query, and records the queries."""

    response: DeadLetterPage = field(default_factory=lambda: DeadLetterPage([], None))
    is_unreachable: bool = False
    queries: list[DeadLetterQuery] = field(default_factory=list)

    async def page(self, query: DeadLetterQuery) -> DeadLetterPage:
        self.queries.append(query)
        if self.is_unreachable:
            raise KafkaUnavailable("unreachable")
        return self.response
