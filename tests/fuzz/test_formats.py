"""Messages of any format, mutated at random, decode quickly and in bounded memory to what violations describe."""

import json
import re
import tracemalloc
from gzip import compress
from time import thread_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from generator.formats import FORMATS, MIXED, wrap
from service.entities.dead_letter import Reason
from service.entities.dead_letter_headers import Headers
from service.entities.message_format import MessageFormat
from service.entities.order import Order
from service.entities.record import Record
from service.errors import DocumentRejected
from tests.fuzz.mutants import TOKENS, faults, mutated, order_texts, spellings
from tests.fuzz.profile import fuzzed
from tests.fuzz.test_messages import MAX_CPU_SECONDS, NOW, PATH, RULE
from tests.kit.decoding import message_decoder

MAX_BYTES = 2**20
MAX_PEAK_BYTES = 16 * MAX_BYTES
FORMAT_RULE = re.compile(
    "|".join(re.escape(each.description) for each in MessageFormat)
    + r"|Debezium change event (with an unknown op|without a row in after)"
    r"|CloudEvents (specversion is not supported: send 1\.0|datacontenttype is not JSON|event without data)"
    r"|CloudEvents data_base64 is not Base64"
    r"|CloudEvents are supported as application/cloudevents\+json alone, one event per message"
    r"|Confluent wire format, schema (id \d{1,10}|GUID [0-9a-f-]{36}): [a-z. ]{1,40}"
    r"|(zstd|lz4) is not supported: send gzip, or set compression\.type of the producer"
    r"|(malformed|incomplete) gzip|UTF-(16|32) is not supported: send UTF-8"
    rf"|larger than {MAX_BYTES} bytes( when decompressed)?"
)
"""All texts of violations that only formats have."""
FORMAT_TOKENS = [
    *TOKENS,
    *(f'"{name}":'.encode() for name in ("specversion", "data", "data_base64", "payload", "schema", "op", "after")),
    *(
        b'"op":"d"',
        b'"payload":null',
        b'"data_base64":"e30="',
        b"\x1f\x8b\x08\0",
        b"\x28\xb5\x2f\xfd",
        b"\0\0\0\0\7",
        b"\xef\xbb\xbf",
        b"{\0",
    ),
]

decoder = message_decoder(now=lambda: NOW)


@st.composite
def messages(draw: st.DrawFn) -> Record:
    document = draw(order_texts() | spellings() | faults())
    value, headers = wrap(document, draw(st.sampled_from(FORMATS[: FORMATS.index(MIXED)])))
    mutant = draw(mutated(st.just(value or b""), FORMAT_TOKENS) | st.just(value or b""))
    if draw(st.integers(0, 9)) == 0:
        mutant = compress(mutant, mtime=0)
    return record(mutant, draw(st.just(headers) | header_lists))


header_lists: st.SearchStrategy[Headers] = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "content-type", "__value_schema_id", "other"]),
        st.none() | st.binary(max_size=20) | st.sampled_from([b"1.0", b"application/cloudevents+json", b"text/xml"]),
    ),
    max_size=3,
)


def record(value: bytes, headers: Headers | None = None) -> Record:
    return Record("orders", 0, 0, 0, None, value, headers)


def decode(message: Record) -> Order | DocumentRejected | None:
    try:
        decoded = decoder.decode(message)
    except DocumentRejected as rejection:
        return rejection
    return decoded and decoded[0]


@fuzzed
@given(messages())
@example(record(b'"{'))
@example(record(b'{"op":"c","after":"{"}'))
@example(record(b"\0"))
def test_a_message_is_an_order_a_tombstone_or_has_violations_without_values(message: Record) -> None:
    began = thread_time()
    result = decode(message)
    assert thread_time() - began < MAX_CPU_SECONDS
    if isinstance(result, DocumentRejected):
        assert 1 <= len(result.violations) <= 21
        for path, rule in result.violations:
            assert PATH.fullmatch(path), path
            assert RULE.fullmatch(rule) or FORMAT_RULE.fullmatch(rule), rule


BOMBS = {
    "128 MiB in gzip": compress(b" " * 2**27, mtime=0),
    "gzip in many members": compress(b" " * 2**10, mtime=0) * 20_000,
    "gzip in empty members": compress(b"", mtime=0) * 50_000,
    "gzip in gzip": compress(compress(b" " * 2**27, mtime=0), mtime=0),
    "nested payloads": b'{"payload":' * 90_000,
    "nested texts": json.dumps(json.dumps("{" * 100_000 + '"')).encode(),
    "many fields": b"{" + b",".join(b'"payload":{},"op":%d' % number for number in range(40_000)) + b"}",
    "many quotes": b'"{' + b'\\"' * 500_000 + b'"',
    "nested arrays after an op": b'{"op":"c","after":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "much Base64": b'{"specversion":"1.0","data_base64":"%b"}' % (b"AAAA" * 250_000),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_rejected_in_bounded_time_and_memory(bomb: bytes) -> None:
    tracemalloc.start()
    began = thread_time()
    try:
        result = decode(record(bomb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(result, DocumentRejected)
    assert result.reason in {Reason.UNDECODABLE, Reason.INVALID, Reason.TOO_LARGE}
    assert peak < MAX_PEAK_BYTES
    assert thread_time() - began < MAX_CPU_SECONDS
