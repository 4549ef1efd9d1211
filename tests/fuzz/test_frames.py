"""Any bytes in Confluent's wire format decode quickly to an order or to a rejection."""

from time import thread_time

from hypothesis import example, given
from hypothesis import strategies as st

from generator.encodings import KINDS, Encoding, encoder, framed, schema_text
from service.entities.dead_letter import Reason
from service.entities.record import Record
from service.errors import DocumentRejected
from service.handler.kafka.registry.frame import SchemaKey
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from service.handler.kafka.registry.schemas import SchemaCache
from tests.fuzz.profile import fuzzed
from tests.kit.decoding import message_decoder
from tests.kit.factories import order_document

MAX_CPU_SECONDS = 1.0
"""Limit for decoding one message."""
ENCODINGS: tuple[Encoding, ...] = tuple(KINDS)
FRAMES = [framed(number, encoder(each)(order_document())) for number, each in enumerate(ENCODINGS, 1)]
PREFIX_BYTES = 5

SCHEMAS: dict[SchemaKey, RegisteredSchema] = {
    number: RegisteredSchema(KINDS[each], schema_text(each)) for number, each in enumerate(ENCODINGS, 1)
}

schemas = SchemaCache(
    SCHEMAS.get,
    reader_of,
    max_entries=10,
    unknown_id_attempts=1,
    now=lambda: 0.0,
)
for number in range(1, len(ENCODINGS) + 2):
    schemas.load(number)
decoder = message_decoder(schemas=schemas)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A frame with some of its bytes replaced, removed, or repeated many times."""
    value = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(PREFIX_BYTES, len(value)))
        end = draw(st.integers(start, min(start + 8, len(value))))
        value[start:end] = draw(st.binary(max_size=8)) * draw(st.sampled_from([1, 1, 1, 1_000]))
    return bytes(value)


@fuzzed
@given(spoiled() | st.builds(framed, st.integers(1, 4), st.binary(max_size=200)))
@example(framed(2, b"\xff" * 9 + b"\x7f"))
@example(framed(3, b"\0" + b"\x32\x00" * 500_000))
@example(framed(3, b"\xff" * 1_000))
def test_a_frame_is_an_order_or_is_rejected(value: bytes) -> None:
    began = thread_time()
    rejection = rejection_of(value)
    assert thread_time() - began < MAX_CPU_SECONDS
    if rejection:
        assert rejection.reason in {Reason.INVALID, Reason.UNDECODABLE}
        assert str(rejection.violations[0]).startswith("Confluent wire format, schema id ")


def rejection_of(value: bytes) -> DocumentRejected | None:
    try:
        decoder.decode(Record("orders", 0, 0, 0, None, value, None))
    except DocumentRejected as rejection:
        return rejection
    return None
