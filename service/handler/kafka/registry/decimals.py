"""Decimals as Avro and Protobuf have them: an unscaled integer and the number of its decimal places."""

from decimal import Decimal
from typing import Final

from service.handler.kafka.registry.reader import undecodable

MAX_BYTES: Final = 16
MAX_SCALE: Final = 38
"""More is not an amount, and slow to convert: 10 to a power that the producer chooses."""


def to_number(unscaled: bytes, scale: int) -> int | Decimal:
    """Return an integer if there is no fraction, because the document's amounts are integers.

    `unscaled` is big-endian. Raises DocumentRejected.
    """
    if len(unscaled) > MAX_BYTES or abs(scale) > MAX_SCALE:
        raise undecodable(f"decimal with more than {MAX_BYTES} bytes, or a scale beyond {MAX_SCALE}")
    number = Decimal(f"{int.from_bytes(unscaled, 'big', signed=True)}E{-scale}")
    return int(number) if number == int(number) else number
