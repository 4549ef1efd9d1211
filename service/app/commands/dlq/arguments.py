"""The arguments of `orders dlq list|show|replay`."""

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Final

from service.entities.dead_letter import Reason
from service.pkg.argtypes import non_negative_int, rate, timestamp, timestamp_or_age
from service.usecases.ports.replay import DEFAULT_MAX_REPLAYS

_DEFAULT_LIST_LIMIT: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="dlq_command", required=True, metavar="list|show|replay")
    for name, (summary, add) in _COMMANDS.items():
        add(commands.add_parser(name, help=summary, description=summary))


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_times(parser, timestamp_or_age, "such as 2026-11-23T10:00:00Z, or 90m or 40d for this long ago")
    parser.add_argument(
        "--max",
        type=non_negative_int,
        default=_DEFAULT_LIST_LIMIT,
        metavar="N",
        help="list at most N, or all if 0 (default: %(default)s)",
    )
    _add_json(parser)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "partition", type=non_negative_int, metavar="PARTITION", help="partition of the dead-letter topic"
    )
    parser.add_argument("offset", type=non_negative_int, metavar="OFFSET", help="offset in that partition")
    parser.add_argument(
        "--value",
        action="store_true",
        help="print only the value, byte for byte unless to a terminal; it may contain personal data",
    )
    _add_json(parser)


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "partition", type=non_negative_int, nargs="?", metavar="PARTITION",
        help="partition of the dead-letter topic: send only the dead letters at OFFSET…, even if already sent",
    )  # fmt: skip
    parser.add_argument("offset", type=non_negative_int, nargs="*", metavar="OFFSET", help="offsets in that partition")
    _add_filters(parser)
    # Not an age: the filters identify the replay that the next run continues.
    _add_times(parser, timestamp, "such as 2026-11-23T10:00:00Z")
    parser.add_argument(
        "--edit", action="store_true", help="edit the content of the dead letter in $VISUAL or $EDITOR, and send that"
    )
    parser.add_argument("--dry-run", action="store_true", help="print how many would be sent, by reason, and send none")
    parser.add_argument(
        "--max", type=non_negative_int, default=0, metavar="N", help="send at most N; the next run continues"
    )
    parser.add_argument(
        "--rate", type=rate, default=0.0, metavar="R", help="dead letters per second (default: no limit)"
    )
    parser.add_argument(
        "--max-replays",
        type=non_negative_int,
        default=DEFAULT_MAX_REPLAYS,
        metavar="N",
        help="skip dead letters already replayed N times (default: %(default)s)",
    )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reason",
        action="append",
        choices=[str(each) for each in Reason],
        help="only dead letters with this reason; may be repeated",
    )
    parser.add_argument(
        "--order", type=_not_empty, metavar="ORDER_UID", help="only dead letters of this order, by key and content"
    )
    parser.add_argument(
        "--text", type=_not_empty, help="only dead letters with this text in dlq-detail, in upper or lower case"
    )


def _add_times(parser: argparse.ArgumentParser, parse: Callable[[str], datetime], examples: str) -> None:
    parser.add_argument(
        "--since", type=parse, metavar="TIME", help=f"only dead letters that arrived since this time, {examples}"
    )
    parser.add_argument("--until", type=parse, metavar="TIME", help="only dead letters that arrived before this time")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON as the API returns it, one object per line")


def _not_empty(text: str) -> str:
    """Accept more than a valid `order_uid`, because messages without one are dead-lettered too."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


_COMMANDS: Final = {
    "list": ("list dead letters and their reasons, newest first, without content", _add_list),
    "show": ("show the headers of one dead letter, or with --value its content", _add_show),
    "replay": ("send dead letters to their topics again, from where the last replay ended", _add_replay),
}
"""Summary of each command, and the function that adds its arguments."""
