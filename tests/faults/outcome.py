"""What a scenario left in the topics, in the tables and in the dead-letter topic."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import LiteralString

import confluent_kafka
import msgspec

from generator.actual import STORED_ORDERS, messages, rows
from service.repo.conninfo import Conninfo
from tests.faults.checker import Checker, CheckResult, Row, Version
from tests.faults.group import Group

ROWS: LiteralString = f"""
SELECT found.order_uid, (extract(epoch FROM o.source_timestamp) * 1000)::bigint, o.source_topic,
       o.source_partition, o.source_offset, found.document::text
  FROM ({STORED_ORDERS}) found(order_uid, document) JOIN orders o USING (order_uid)
"""  # noqa: S608 - two constants


@dataclass(frozen=True, slots=True)
class Outcome:
    """The messages and rows of one scenario."""

    group: Group
    topics: Sequence[str]
    dead_letter_topic: str
    dsn: str

    def check(self, checker: Checker, *, exactly_once: bool) -> CheckResult:
        with closing(self.group.open_reader()) as orders, closing(self.group.open_reader()) as dead_letters:
            return checker.check(
                chain.from_iterable(messages(orders, topic) for topic in self.topics),
                self._rows(),
                messages(dead_letters, self.dead_letter_topic),
                exactly_once=exactly_once,
            )

    def dead_letters(self) -> list[confluent_kafka.Message]:
        """Return the dead letters that a `read_committed` consumer sees."""
        with closing(self.group.open_reader()) as reader:
            return list(messages(reader, self.dead_letter_topic))

    def _rows(self) -> Iterator[Row]:
        for uid, *version, document in rows(Conninfo(self.dsn), ROWS):
            yield Row(uid, Version(*version), msgspec.json.decode(document))
