"""docs/logs.md, from the calls that log."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import KafkaError

from reference import ROOT
from service.handler.kafka.client.error_phrases import error_fields

LEVELS = ("info", "warning", "error")
LOGGERS = {"log", "self.log", "self._log", "structlog.get_logger('orders')"}
INTRODUCTION = """\
# Logs

Each line on standard error is a JSON object with `event` (a fixed sentence), `level`, `timestamp`
and the fields below. On a terminal, except in the image, it is text that is easier to read.
`--log-format` and `ORDERS_LOG__FORMAT` select one of the two (`json`, `text`), and
`ORDERS_LOG__LEVEL` the minimum level. No line contains order data (except an `order_uid`), keys or
passwords. An exception appears as `error` (its type) and `at` (its location).
librdkafka's connection failures appear as `cannot reach Kafka`, at most every 30 s; its other
messages appear unchanged.

| level | event | fields |
|---|---|---|
"""


class Event(NamedTuple):
    level: str
    sentence: str
    fields: tuple[str, ...]


def events() -> Iterator[Event]:
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _logs(node.func):
                yield _event(node, node.func.attr)


def _logs(function: ast.Attribute) -> bool:
    return function.attr in {*LEVELS, "exception", "debug", "critical"} and ast.unparse(function.value) in LOGGERS


def _event(call: ast.Call, level: str) -> Event:
    (sentence,) = call.args
    if not isinstance(sentence, ast.Constant):
        raise TypeError(f"the event must be a fixed sentence: {ast.unparse(call)}")
    return Event(level, str(sentence.value), tuple(field for keyword in call.keywords for field in _fields(keyword)))


def _fields(keyword: ast.keyword) -> list[str]:
    if keyword.arg is not None:
        return ["error, at" if keyword.arg == "exc_info" else keyword.arg]
    if not (isinstance(keyword.value, ast.Call) and ast.unparse(keyword.value.func) == error_fields.__name__):
        raise TypeError(f"the fields must be known: {ast.unparse(keyword)}")
    return [*error_fields(KafkaError(KafkaError.UNKNOWN))]


def render() -> str:
    rows = sorted({*events()}, key=lambda event: (LEVELS.index(event.level), *event[1:]))
    return INTRODUCTION + "".join(f"| {each.level} | {each.sentence} | {', '.join(each.fields)} |\n" for each in rows)
