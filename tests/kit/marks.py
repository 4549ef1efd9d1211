"""Orders full of marks, and a search for marks in output.

All texts and numbers of orders, headers, requests and secrets contain a mark. Ids of orders and keys of messages have
another mark, which may appear in notifications, events and lists of dead letters only.
"""

import re
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from msgspec.json import encode

from generator.faults import FULL_CATALOG
from tests.kit.factories import SAMPLE, Document, order_document
from tests.kit.harness import Sent

MARK = "Zq7mark"
DIGITS = "7991773551"
UID = "Uq7id"
PERSONAL = re.compile(f"{MARK}|{DIGITS}".encode(), re.IGNORECASE)
IDENTIFYING = re.compile(UID.encode(), re.IGNORECASE)
PLAIN = {"delivery.phone": f"+{DIGITS}", "delivery.email": f"{MARK}@{MARK}.example", "payment.currency": "USD"}
"""Values of a valid order where the mark alone would be invalid."""
UNMARKED = {"order_uid", "date_created", "items[0].sale", "items[0].status"}
PARENT = f"00-{'a' * 32}-{'d' * 16}-01"
HEADERS = [("traceparent", PARENT.encode()), ("tracestate", f"{MARK.lower()}=1".encode()), (MARK, MARK.encode())]
PASSWORDS = f'{{"sasl.password": "{MARK}", "ssl.key.password": "{MARK}", "debug": "conf,consumer,msg"}}'


# Orders


def mark_of(path: str) -> Any:
    """Return the value at the path in a marked order."""
    if path in PLAIN:
        return PLAIN[path]
    is_text = isinstance(value_at(SAMPLE, path), str)
    return f"{MARK}-{path.replace('[0]', '')}" if is_text else int(DIGITS) * 100 + len(path)


def marked(**overrides: Any) -> Document:
    """Return a valid order with a unique id and marks in all other fields."""
    document = order_document(**overrides)
    for path in leaves(SAMPLE):
        if path not in UNMARKED:
            set_value(document, path, mark_of(path))
    document["order_uid"] = UID + document["order_uid"]
    return document


def leaves(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(child, f"{path}.{name}".lstrip("."))
    elif isinstance(node, list):
        yield from leaves(node[0], f"{path}[0]")
    else:
        yield path


def steps(path: str) -> list[Any]:
    return [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]


def value_at(document: Any, path: str) -> Any:
    for step in steps(path):
        document = document[step]
    return document


def set_value(document: Any, path: str, value: Any) -> None:
    *parents, key = steps(path)
    for step in parents:
        document = document[step]
    document[key] = value


INVALID_VALUES: list[Any] = [
    MARK, MARK * 200, int(DIGITS), -int(DIGITS), float(DIGITS) + 0.5, 10**25 * int(DIGITS), [MARK], {MARK: MARK},
    f"{MARK}\0",
]  # fmt: skip


def invalid_orders() -> Iterator[bytes]:
    """Yield orders with an invalid value at each path, and with unknown fields."""
    for path in [*leaves(SAMPLE), "delivery", "payment", "items", "items[0]"]:
        for value in INVALID_VALUES[path == "order_uid" :]:  # the first value is a valid id
            document = marked()
            set_value(document, path, value)
            yield encode(document | {MARK: {MARK: MARK}})
        yield encode(marked()).replace(b'"sm_id"', f'"{MARK}"'.encode())


def generated_faults() -> Iterator[bytes]:
    """Yield a message for each of the generator's faults."""
    random = Random(1).random  # noqa: S311 - the same each time
    yield from (fault.make(marked(), random) for fault in FULL_CATALOG)


REJECT_MARKED = f"""
    ALTER TABLE orders ADD CONSTRAINT no_rejected CHECK (entry <> '{MARK}-rejected');
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING MESSAGE = NEW.city, DETAIL = NEW.name, HINT = NEW.email; END $$;
    CREATE TRIGGER reject BEFORE INSERT ON deliveries FOR EACH ROW
        WHEN (NEW.city = '{MARK}-rejected') EXECUTE FUNCTION reject();
"""


def rejected_orders() -> Iterator[bytes]:
    """Yield orders that PostgreSQL rejects with messages that quote their values."""
    by_constraint, by_trigger = marked(), marked()
    by_constraint["entry"] = by_trigger["delivery"]["city"] = f"{MARK}-rejected"
    yield from map(encode, (by_constraint, by_trigger))


def sent(values: Iterable[bytes]) -> list[Sent]:
    return [Sent(value, f"{UID}-key".encode(), headers=[*HEADERS]) for value in values]


# Output


class Output:
    """All output, by its source."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}

    def add(self, source: str, text: bytes) -> None:
        self._texts[source] = self._texts.get(source, b"") + text + b"\n"

    def text(self, source: str) -> bytes:
        return self._texts[source]

    def assert_has_no_marks(self, expected: set[str], *, with_ids: frozenset[str] = frozenset()) -> None:
        """Assert that there is output of exactly these sources, and no mark in it, except for ids in `with_ids`."""
        assert expected == {source for source, text in self._texts.items() if text.strip()}
        found = {source: matches(PERSONAL, text) for source, text in self._texts.items()}
        ids = {name: matches(IDENTIFYING, text) for name, text in self._texts.items() if name not in with_ids}
        assert {source: each for source, each in found.items() if each} == {}
        assert {source: each for source, each in ids.items() if each} == {}


def matches(pattern: re.Pattern[bytes], text: bytes) -> list[bytes]:
    """Return the first three matches with their context."""
    return [text[max(0, match.start() - 80) : match.end() + 40] for match in pattern.finditer(text)][:3]
