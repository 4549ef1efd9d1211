"""Hypothesis strategies for mutated orders.

They use the document's fields, the generator's faults and tokens that break parsers, because random bytes rarely get
past the first brace.
"""

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from generator.faults import CATALOG
from service.entities.order import MAX_BIGINT
from tests.kit.factories import SAMPLE, Document, order_document

PATHS = [
    *(path for path, value in SAMPLE.items() if not isinstance(value, dict | list)),
    *(f"{section}.{name}" for section in ("delivery", "payment") for name in SAMPLE[section]),
    *(f"items.0.{name}" for name in SAMPLE["items"][0]),
    *("delivery", "payment", "items", "items.0", "extra", "delivery.extra", "items.0.extra"),
]
NUMBERS = [0, -1, 100, 101, MAX_BIGINT, MAX_BIGINT + 1, 2**64, -(2**63) - 1, 10**400, 0.5, 1e300]
TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud83e", b"\\uddd8", b"\\u005c", b"\\n", b"\0"),
    *(
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf0\x9f\xa7\x98",
        b"\xe2\x80\xa8",
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
    ),
    *(b"1e400", b"1.0", b"1e2", b"-0", b"007", b"9" * 400, b"0." + b"1" * 400, b"[" * 40, b'{"a":' * 40, b"[]" * 40),
    *(b'"order_uid":"x",', b'"items":[],', b'"":0,', b"\t", b"\r\n", b" ", b"2021-11-26T06:22:19+23:59", b"/**/"),
]

texts = (
    st.text(max_size=30)
    | st.text('\t\n\r\\.N"a🧘', max_size=5)
    | st.sampled_from(["", "\0", "\\N", "\\.", "a\tb", "\n", "\r", "\\u0000", "🧘", "é" * 1_025])
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(NUMBERS) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """An order with arbitrary texts and numbers, usually valid."""
    document = order_document(order_uid=draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)))
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=5, unique=True)):
        container, key = located(document, path)
        is_text = isinstance(container.get(key), str) if isinstance(container, dict) else False
        container[key] = draw(texts if is_text else st.integers(0, MAX_BIGINT) if key != "items" else values)
    document["items"] = document["items"] * draw(st.integers(1, 3)) if isinstance(document["items"], list) else []
    return document


def located(document: Any, path: str) -> tuple[Any, Any]:
    """Return container and key; the container is a new dict if an earlier change removed the path."""
    *parents, key = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in parents:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return {}, key
    is_item = isinstance(document, list) and isinstance(key, int) and key < len(document)
    return (document, key) if isinstance(document, dict) or is_item else ({}, key)


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """A document as JSON: values of any type anywhere, escaped or not, indented or not."""
    document = draw(documents())
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=2)):
        container, key = located(document, path)
        container[key] = draw(values)
    text = json.dumps(
        document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])), separators=(",", ":")
    )
    return text.encode(errors="surrogatepass")


@st.composite
def faults(draw: st.DrawFn) -> bytes:
    fault = draw(st.sampled_from(CATALOG))
    message: bytes = fault.make(order_document(), Random(draw(st.integers(0, 9))).random)  # noqa: S311 - no secret
    return message


@st.composite
def mutated(draw: st.DrawFn, source: st.SearchStrategy[bytes], tokens: list[bytes]) -> bytes:
    """The source's bytes with some removed, repeated, replaced or inserted."""
    text = draw(source)
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 0, 1, 2, 20, 200])))
        middle = draw(st.sampled_from(tokens) | st.binary(max_size=3) | st.just(text[begin:end] * 2))
        text = text[:begin] + middle + text[end:]
    return text


@st.composite
def order_texts(draw: st.DrawFn) -> bytes:
    """An order as a producer would write it, usually valid."""
    return json.dumps(draw(documents()), ensure_ascii=False).encode(errors="surrogatepass")


messages = mutated(spellings() | faults(), TOKENS) | spellings() | order_texts()
"""Values of messages: valid, almost valid, and invalid orders."""
notifications = mutated(st.sampled_from([b'{"new":["a"]}', b'{"changed":["a","b"]}', b"{}"]), TOKENS) | st.binary()
