"""The bytes of a message become an order, or the reason why they are none.

Nearly all messages take the fast path: one call of msgspec that parses and validates at once. What it refuses is looked
at again, slowly: fields that we don't know are dropped, of a repeated key the last one wins, and what is still wrong
is named field by field.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec

from service.entities.dead_letter import Reason, Violation
from service.entities.errors import DocumentRejected
from service.entities.order import MAX_ITEMS, Delivery, Item, Order, Payment, amount_mismatches

_ESCAPED_NUL: Final = rb"\u0000"
_NUL: Final = "\0"
_NUL_RULE: Final = "holds a NUL character"
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time, which is a date like any other; a zone can put a moment before it, and out of the calendar."""
_MAX_VIOLATIONS: Final = 20
"""Violations named for one document; a header must stay small."""
_NESTED: Final[dict[str, type[msgspec.Struct]]] = {"delivery": Delivery, "payment": Payment, "items": Item}
_ITEM_COUNT: Final = Annotated[list[Any], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a document may be beyond its shape: bytes, levels, and what happens to amounts that don't fit."""

    max_bytes: int = 2**20
    max_nesting: int = 32
    max_future: timedelta = timedelta(days=1)
    amounts: Literal["warn", "reject", "ignore"] = "warn"


class Decoder:
    """Decodes and validates. `on_unknown` and `on_mismatch` count what is let through; `now` is in UTC."""

    def __init__(
        self,
        rules: Rules,
        *,
        on_unknown: Callable[[int], None],
        on_mismatch: Callable[[str], None],
        now: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._on_unknown = on_unknown
        self._on_mismatch = on_mismatch
        self._now = now
        self._parse = msgspec.json.Decoder(Order).decode

    def decode(self, value: bytes) -> Order:
        """Return the order in `value`. Raises DocumentRejected."""
        if len(value) > self._rules.max_bytes:
            raise DocumentRejected(Reason.TOO_LARGE, [Violation("", f"larger than {self._rules.max_bytes} bytes")])
        try:
            order = self._parse(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            order = self._decode_slowly(value)
        else:
            if _ESCAPED_NUL in value:
                self._decode_slowly(value)
        self._check_date(order)
        if self._rules.amounts != "ignore":
            self._check_amounts(order)
        return order if order.date_created.tzinfo is UTC else _in_utc(order)

    def _decode_slowly(self, value: bytes) -> Order:
        document = _read_json(value)
        if value.count(b"[") + value.count(b"{") > self._rules.max_nesting:
            _refuse_nesting(document, self._rules.max_nesting)
        known, unknown = _without_unknown(document, Order)
        try:
            order = msgspec.convert(known, Order)
        except msgspec.ValidationError:
            raise DocumentRejected(Reason.INVALID, _some(_violations(known, Order))) from None
        if _ESCAPED_NUL in value and _holds_nul(document):
            raise DocumentRejected(Reason.INVALID, _some(_nuls(known)) or [Violation("", _NUL_RULE)])
        if unknown:
            self._on_unknown(unknown)
        return order

    def _check_date(self, order: Order) -> None:
        if order.date_created > self._now() + self._rules.max_future:
            raise DocumentRejected(Reason.INVALID, [Violation("date_created", "lies in the future")])
        if order.date_created < _EARLIEST:
            raise DocumentRejected(Reason.INVALID, [Violation("date_created", "lies before year 1")])

    def _check_amounts(self, order: Order) -> None:
        broken = amount_mismatches(order)
        if broken and self._rules.amounts == "reject":
            raise DocumentRejected(Reason.INVALID, [Violation(path, "does not add up") for path in broken])
        for path in broken:
            self._on_mismatch(path)


def _in_utc(order: Order) -> Order:
    """PostgreSQL refuses zones beyond 15:59 hours that RFC 3339 allows; the moment is the same in UTC."""
    return msgspec.structs.replace(order, date_created=order.date_created.astimezone(UTC))


def _read_json(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except RecursionError:
        problem = "nested too deeply"
    except msgspec.ValidationError:
        problem = "a number is out of range"
    except msgspec.DecodeError:
        problem = "malformed JSON"
    raise DocumentRejected(Reason.UNDECODABLE, [Violation("", problem)])


def _refuse_nesting(document: Any, max_nesting: int) -> None:
    """Walk the document level by level, so that depth costs no stack."""
    level, depth = [document], 0
    while containers := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > max_nesting:
            raise DocumentRejected(Reason.UNDECODABLE, [Violation("", "nested too deeply")])
        level = [child for node in containers for child in _children(node)]


def _holds_nul(node: Any) -> bool:
    if isinstance(node, str):
        return _NUL in node
    return any(map(_holds_nul, _children(node))) or (isinstance(node, dict) and any(map(_holds_nul, node)))


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _without_unknown(node: Any, shape: type[msgspec.Struct]) -> tuple[Any, int]:
    """Return the document without the fields that its shape does not have, and how many those were."""
    if isinstance(node, list) and len(node) <= MAX_ITEMS:  # of more than that nothing needs to be known
        parts = [_without_unknown(child, shape) for child in node]
        return [known for known, _ in parts], sum(unknown for _, unknown in parts)
    if not isinstance(node, dict):
        return node, 0
    kept = {name: node[name] for name in shape.__struct_fields__ if name in node}
    unknown = len(node) - len(kept)
    for name in _NESTED.keys() & kept.keys() if shape is Order else ():
        kept[name], dropped = _without_unknown(kept[name], _NESTED[name])
        unknown += dropped
    return kept, unknown


def _violations(node: Any, shape: type[msgspec.Struct], path: str = "") -> Iterator[Violation]:
    """Yield each broken rule with its path: of the document, then of each field, as deep as there is a shape."""
    if not isinstance(node, dict):
        yield Violation(path, _rule_broken(node, dict) or "")
        return
    for field in msgspec.structs.fields(shape):
        inner = f"{path}.{field.name}".lstrip(".")
        if field.name not in node:
            if field.required:
                yield Violation(inner, "is missing")
        elif shape is Order and field.name == "items":
            yield from _item_violations(node["items"])
        elif shape is Order and field.name in _NESTED:
            yield from _violations(node[field.name], _NESTED[field.name], inner)
        elif rule := _rule_broken(node[field.name], field.type):
            yield Violation(inner, rule)


def _item_violations(node: Any) -> Iterator[Violation]:
    if rule := _rule_broken(node, _ITEM_COUNT):
        yield Violation("items", rule)
        return
    for index, item in enumerate(node):
        yield from _violations(item, Item, f"items[{index}]")


def _rule_broken(value: Any, kind: Any) -> str | None:
    """Return msgspec's words for the rule; they name types and limits, never the value."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error).replace("`", "")
    return None


def _nuls(known: Any, path: str = "") -> Iterator[Violation]:
    """Yield the path of each text with a NUL; every name on the way is one of the shape's."""
    if isinstance(known, str) and _NUL in known:
        yield Violation(path, _NUL_RULE)
    for name, child in known.items() if isinstance(known, dict) else ():
        yield from _nuls(child, f"{path}.{name}".lstrip("."))
    for index, child in enumerate(known) if isinstance(known, list) else ():
        yield from _nuls(child, f"{path}[{index}]")


def _some(violations: Iterator[Violation]) -> list[Violation]:
    return list(islice(violations, _MAX_VIOLATIONS))
