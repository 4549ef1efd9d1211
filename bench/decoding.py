"""CPU time of the reading thread for a message of each format: decoding it, and preparing the rows of its order."""

from collections.abc import Iterator, Mapping
from typing import Final

from bench import decode_formats
from bench.context import Context
from bench.figures import Sample
from bench.processes import child, run_for_result

_MESSAGES: Final = 5_000
_MIN_MESSAGES: Final = 500


def measure(context: Context) -> Iterator[Sample]:
    """Yield decode.FORMAT of each round, with the names of `orders generate --format`."""
    count = context.scaled(_MESSAGES, _MIN_MESSAGES)
    for number in range(context.rounds):
        context.echo(f"decoding: round {number + 1} of {context.rounds}")
        process = child(context, "decoding", [decode_formats.__name__, str(count)], {})
        seconds: Mapping[str, float] = run_for_result(process, dict[str, float])
        for name, each in seconds.items():
            yield Sample(f"decode.{name}", "us/order", each * 1e6)
