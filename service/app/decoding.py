"""The decoder of order documents, with the limits of the settings."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.decoding.decoder import Decoder, DecodingRules

if TYPE_CHECKING:
    from service.config import DocumentSettings


def _ignore(_: object) -> None: ...


def document_decoder(
    document: "DocumentSettings",
    on_unknown: Callable[[int], None] = _ignore,
    on_mismatch: Callable[[str], None] = _ignore,
) -> Decoder:
    rules = DecodingRules(
        max_bytes=document.max_message_bytes,
        max_nesting=document.max_nesting,
        max_future=timedelta(seconds=document.max_future),
        amounts=document.amount_mismatch,
    )
    return Decoder(rules, on_unknown=on_unknown, on_mismatch=on_mismatch, now=lambda: datetime.now(UTC))
