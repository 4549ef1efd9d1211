"""Command-line options of a plan, shared by `orders generate` and `orders check`."""

import argparse
from typing import Final

from generator.formats import FORMATS, JSON, REGISTRY_FORMATS
from generator.stream import Plan
from service.errors import UsageError
from service.pkg.argtypes import fraction, non_negative_int, timestamp

SHARES: Final = {
    "invalid": "share of messages with a fault (`orders generate --list-faults`)",
    "duplicates": "share of messages that repeat an earlier order unchanged",
    "stale": "share of messages with an older version of an earlier order, with an earlier timestamp",
    "updates": "share of messages with a newer version of an earlier order",
    "tombstones": "share of messages with the key of an earlier order and a null value or the text null",
}


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count",
        type=non_negative_int,
        default=Plan.count,
        metavar="N",
        help=f"total number of messages; 0 for no limit (default: {Plan.count})",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=Plan.seed,
        metavar="S",
        help="the same seed and options produce the same messages",
    )
    for name, text in SHARES.items():
        parser.add_argument(f"--{name}", type=fraction, default=0.0, metavar="P", help=f"{text}, 0 to 1 (default: 0)")
    parser.add_argument(
        "--until",
        type=timestamp,
        metavar="TIME",
        help="latest date of an order (default: the start of the command; with --count 0 the time of sending)",
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, *REGISTRY_FORMATS),
        default=JSON,
        help=f"format of the messages (default: {JSON}); {', '.join(REGISTRY_FORMATS)} need a schema registry",
    )
    parser.add_argument("--too-large", action="store_true", help="include faults with values over 1 MiB")


def plan_from(args: argparse.Namespace) -> Plan:
    """Return the plan for the options. Raises UsageError if the shares add up to more than 1."""
    shares = {name: getattr(args, name) for name in SHARES}
    until = args.until or Plan.until
    message_format = JSON if args.format in REGISTRY_FORMATS else args.format
    shape = {"count": args.count, "seed": args.seed, "too_large": args.too_large}
    try:
        return Plan(**shape, format=message_format, until=until, **shares)
    except ValueError as error:
        raise UsageError(str(error)) from None
