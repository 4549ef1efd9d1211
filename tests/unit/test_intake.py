"""What a record adds to the batch that is being filled."""

from datetime import UTC, datetime

import pytest

from service.entities.dead_letter import Headers
from service.handler.kafka.decode import Decoder, Rules
from service.handler.kafka.intake import take
from service.handler.kafka.record import HEADER_BYTES, Record
from service.usecases.batch import Batch

DECODER = Decoder(Rules(), on_unknown=lambda _: None, on_mismatch=lambda _: None, now=lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("key", "value", "headers", "size"),
    [
        (None, b"hello", None, 5),
        (b"key", b"hello", [], 8),
        (b"", b"", [("twice", b"1"), ("twice", b"22"), ("null", None)], 17 + 3 * HEADER_BYTES),
    ],
)
def test_all_that_a_record_holds_counts_towards_the_bytes_of_a_batch(
    key: bytes | None, value: bytes, headers: Headers | None, size: int
) -> None:
    batch = Batch()
    take(Record("orders", 0, 0, 0, key, value, headers), batch, DECODER)
    assert batch.bytes == size
