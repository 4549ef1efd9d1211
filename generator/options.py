"""The command-line options that make a plan; `orders check` must be given those of `orders generate`, but `--until`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.stream import Plan
from service.pkg.argtypes import share, whole
from service.pkg.timestamps import parse_moment

if TYPE_CHECKING:
    import argparse

SHARES = {
    "invalid": "share of messages with a fault of the catalogue (see --list-faults)",
    "duplicates": "share of messages that send an earlier order again, unchanged",
    "stale": "share of messages with an older version of an earlier order, under an earlier timestamp",
    "updates": "share of messages with a newer version of an earlier order",
    "tombstones": "share of messages with the key of an earlier order and no value, or the text null",
}


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count",
        type=whole,
        default=Plan.count,
        metavar="N",
        help=f"messages in all, of every kind; 0 is without end (default {Plan.count})",
    )
    parser.add_argument(
        "--seed", type=whole, default=Plan.seed, metavar="S", help="the same seed and options give the same messages"
    )
    for name, text in SHARES.items():
        parser.add_argument(f"--{name}", type=share, default=0.0, metavar="P", help=f"{text}, 0 to 1 (default 0)")
    parser.add_argument(
        "--until",
        type=parse_moment,
        metavar="TIME",
        help="no order is dated later (default: when generate started; with --count 0 each is dated as it is sent)",
    )
    parser.add_argument("--too-large", action="store_true", help="let the faults include values over 1 MiB")


def plan_of(args: argparse.Namespace) -> Plan:
    """Return the plan that the options describe. Raises ValueError where the shares add up to more than 1."""
    shares = {name: getattr(args, name) for name in SHARES}
    until = args.until or Plan.until
    return Plan(count=args.count, seed=args.seed, too_large=args.too_large, until=until, **shares)
