"""Decodes and validates the value of a message.

Nearly all messages take the fast path: one call of msgspec that parses and validates. What it rejects takes the slow
path: unknown fields are dropped, the last value of a repeated key wins, and each remaining violation is named.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from service.decoding.field_mapping import NO_MAPPING, FieldMapping
from service.entities.dead_letter import Reason, Violation
from service.entities.field_paths import IDENTITY, PARTS
from service.entities.order import MAX_ITEMS, AmountMismatchPolicy, Item, Order, amount_mismatches
from service.errors import DocumentRejected

_ESCAPED_NUL: Final = rb"\u0000"
_NUL: Final = "\0"
_NUL_RULE: Final = "contains a NUL character"
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time, which is valid. A time zone can put a time before it, outside the calendar."""
_MAX_VIOLATIONS: Final = 20
"""Violations named per document, so that the header stays small."""
_ITEM_COUNT: Final = Annotated[list[Any], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


@dataclass(frozen=True, slots=True)
class DecodingRules:
    """Limits beyond the schema, and the treatment of amounts that do not add up."""

    max_bytes: int
    max_nesting: int
    max_future: timedelta
    amount_mismatch: AmountMismatchPolicy
    mapping: FieldMapping = NO_MAPPING


class Decoder:
    """`on_unknown`, `on_mismatch` and `on_coerced` count accepted deviations. `now` returns the time in UTC."""

    def __init__(
        self,
        rules: DecodingRules,
        *,
        on_unknown: Callable[[int], None],
        on_mismatch: Callable[[str], None],
        on_coerced: Callable[[int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._rules = rules
        self._on_unknown = on_unknown
        self._on_mismatch = on_mismatch
        self._on_coerced = on_coerced
        self._now = now
        self._parse = msgspec.json.Decoder(Order).decode

    def decode(self, value: bytes) -> Order:
        """Return the order in the JSON text `value`. Raises DocumentRejected."""
        order = self.try_decode(value)
        return self.decode_tolerantly(value) if order is None else order

    def try_decode(self, value: bytes) -> Order | None:
        """Return the order in the JSON text `value`; None if only `decode_tolerantly` can decode it.

        Raises DocumentRejected for a document that both reject.
        """
        if len(value) > self._rules.max_bytes:
            raise self._too_large()
        try:
            order = self._parse(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if _ESCAPED_NUL in value:
            document = _read_json(value)
            _reject_nul(document, document)
        return self._checked(order)

    def decode_tolerantly(self, value: bytes) -> Order:
        """Decode JSON text without its unknown fields. Raises DocumentRejected with all violations."""
        self.check_size(value)
        document = _read_json(value)
        if value.count(b"[") + value.count(b"{") > self._rules.max_nesting:
            _reject_nesting(document, self._rules.max_nesting)
        return self._convert(document, may_contain_nul=_ESCAPED_NUL in value)

    def decode_object(self, document: Any) -> Order:
        """Return the order in a document of dicts, lists and scalars. Raises DocumentRejected.

        The rules are those of JSON text, except for the size: the caller bounds it. Scalars are those of JSON,
        datetimes, decimals and bytes. Changes `document`.
        """
        try:
            order = msgspec.convert(document, Order)
        except msgspec.ValidationError:
            return self._convert_tolerantly(document)
        if _ESCAPED_NUL in msgspec.json.encode(order):  # faster than a look at each text
            return self._convert_tolerantly(document)
        return self._checked(order)

    def read_uid(self, document: Any) -> str | None:
        """Return the `order_uid` of a document in JSON text or as an object, valid or not; None if there is no text.

        Raises DocumentRejected for malformed JSON. Changes `document`.
        """
        if isinstance(document, bytes):
            document = _read_json(document)
        self._rules.mapping.apply(document)
        uid = document.get(IDENTITY) if isinstance(document, dict) else None
        return uid if isinstance(uid, str) else None

    def _convert_tolerantly(self, document: Any) -> Order:
        _reject_nesting(document, self._rules.max_nesting)
        return self._convert(document, may_contain_nul=True)

    @property
    def adds_text(self) -> bool:
        """Whether an order may have texts that are not in its document: the defaults of fields."""
        return bool(self._rules.mapping.defaults)

    def check_size(self, value: bytes) -> None:
        """Raise DocumentRejected if `value` is larger than the rules allow."""
        if len(value) > self._rules.max_bytes:
            raise self._too_large()

    def _too_large(self) -> DocumentRejected:
        return DocumentRejected(Reason.TOO_LARGE, [Violation("", f"larger than {self._rules.max_bytes} bytes")])

    def _convert(self, document: Any, *, may_contain_nul: bool) -> Order:
        coerced = self._rules.mapping.apply(document) if self._rules.mapping else 0
        known, unknown = _without_unknown(document, Order)
        try:
            order = msgspec.convert(known, Order)
        except msgspec.ValidationError:
            raise DocumentRejected(Reason.INVALID, _first(_violations(known, Order))) from None
        if may_contain_nul:
            _reject_nul(document, known)
        order = self._checked(order)
        if unknown:
            self._on_unknown(unknown)
        if coerced:
            self._on_coerced(coerced)
        return order

    def _checked(self, order: Order) -> Order:
        """Return the order, with its date in UTC, if it follows the rules beyond the schema."""
        if order.date_created > self._now() + self._rules.max_future:
            raise DocumentRejected(Reason.INVALID, [Violation("date_created", "is in the future")])
        if order.date_created < _EARLIEST:
            raise DocumentRejected(Reason.INVALID, [Violation("date_created", "is before year 1")])
        if self._rules.amount_mismatch != "ignore":
            self._check_amounts(order)
        return order if order.date_created.tzinfo is UTC else _in_utc(order)

    def _check_amounts(self, order: Order) -> None:
        broken = amount_mismatches(order)
        if broken and self._rules.amount_mismatch == "reject":
            raise DocumentRejected(Reason.INVALID, [Violation(path, "does not add up") for path in broken])
        for path in broken:
            self._on_mismatch(path)


def _in_utc(order: Order) -> Order:
    """Convert to UTC: PostgreSQL rejects offsets beyond 15:59 hours, which RFC 3339 allows."""
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


def _reject_nesting(document: Any, max_nesting: int) -> None:
    """Walk the document level by level, without recursion."""
    level, depth = [document], 0
    while containers := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > max_nesting:
            raise DocumentRejected(Reason.UNDECODABLE, [Violation("", "nested too deeply")])
        level = [child for node in containers for child in _children(node)]


def _reject_nul(document: Any, known: Any) -> None:
    """Raise DocumentRejected if the document contains a NUL character, even in an unknown field."""
    if _contains_nul(document):
        raise DocumentRejected(Reason.INVALID, _first(_nuls(known)) or [Violation("", _NUL_RULE)])


def _contains_nul(node: Any) -> bool:
    if isinstance(node, str):
        return _NUL in node
    return any(map(_contains_nul, _children(node))) or (isinstance(node, dict) and any(map(_contains_nul, node)))


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _without_unknown(node: Any, shape: type[msgspec.Struct]) -> tuple[Any, int]:
    """Return the document without unknown fields, and the number of these."""
    if isinstance(node, list) and len(node) <= MAX_ITEMS:  # more items are rejected anyway
        parts = [_without_unknown(child, shape) for child in node]
        return [known for known, _ in parts], sum(unknown for _, unknown in parts)
    if not isinstance(node, dict):
        return node, 0
    kept = {name: node[name] for name in shape.__struct_fields__ if name in node}
    unknown = len(node) - len(kept)
    for name in PARTS.keys() & kept.keys() if shape is Order else ():
        kept[name], dropped = _without_unknown(kept[name], PARTS[name])
        unknown += dropped
    return kept, unknown


def _violations(node: Any, shape: type[msgspec.Struct], path: str = "") -> Iterator[Violation]:
    """Yield each violation with its path, for the fields of the schema."""
    if not isinstance(node, dict):
        yield Violation(path, _broken_rule(node, dict) or "")
        return
    for field in msgspec.structs.fields(shape):
        inner = f"{path}.{field.name}".lstrip(".")
        if field.name not in node:
            if field.required:
                yield Violation(inner, "is missing")
        elif shape is Order and field.name == "items":
            yield from _item_violations(node["items"])
        elif shape is Order and field.name in PARTS:
            yield from _violations(node[field.name], PARTS[field.name], inner)
        elif rule := _broken_rule(node[field.name], field.type):
            yield Violation(inner, rule)


def _item_violations(node: Any) -> Iterator[Violation]:
    if rule := _broken_rule(node, _ITEM_COUNT):
        yield Violation("items", rule)
        return
    for index, item in enumerate(node):
        yield from _violations(item, Item, f"items[{index}]")


def _broken_rule(value: Any, kind: Any) -> str | None:
    """Return msgspec's message, which names types and limits, never the value."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error).replace("`", "")
    return None


def _nuls(known: Any, path: str = "") -> Iterator[Violation]:
    """Yield the path of each text with a NUL; all names in it are fields of the schema."""
    if isinstance(known, str) and _NUL in known:
        yield Violation(path, _NUL_RULE)
    for name, child in known.items() if isinstance(known, dict) else ():
        yield from _nuls(child, f"{path}.{name}".lstrip("."))
    for index, child in enumerate(known) if isinstance(known, list) else ():
        yield from _nuls(child, f"{path}[{index}]")


def _first(violations: Iterator[Violation]) -> list[Violation]:
    return list(islice(violations, _MAX_VIOLATIONS))
