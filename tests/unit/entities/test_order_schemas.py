"""The schemas for producers: orders that are encoded with them keep their meaning."""

import json

import pytest

from generator.encodings import KINDS, Encoding, encoder, schema_text
from generator.stream import Plan, stream
from service.handler.kafka.registry.reader import RegisteredSchema
from service.handler.kafka.registry.readers import reader_of
from tests.kit.decoding import CountingDecoder

ORDERS = [json.loads(each.value or b"") for each in stream(Plan(count=200))]


@pytest.mark.parametrize("encoding", KINDS)
def test_generated_orders_keep_their_meaning(encoding: Encoding) -> None:
    encode, read = encoder(encoding), reader_of(RegisteredSchema(KINDS[encoding], schema_text(encoding)))
    decoder = CountingDecoder()
    for order in ORDERS:
        document = read(encode(order))
        decoded = decoder.decode(document) if isinstance(document, bytes) else decoder.decode_object(document)
        assert decoded == decoder.decode(json.dumps(order).encode())
    assert decoder.unknown == 0
