"""The options of `orders bench`; apart from it, because every command's start reads them."""

import argparse
from pathlib import Path
from typing import Final

from service.pkg.argtypes import count, positive

MEASURES: Final = ("ingest", "latency", "reads", "warm")
QUICK_SCALE: Final = 0.05
QUICK_ROUNDS: Final = 1
ROUNDS: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, help=f"how often each is measured (default {ROUNDS}, quick 1)")
    parser.add_argument("--scale", type=positive, help="share of the full sizes (default 1)")
    parser.add_argument("--quick", action="store_true", help=f"one round at scale {QUICK_SCALE}: to see that it runs")
    parser.add_argument("--long", action="store_true", help="also a backlog of 10^6 orders and a table of 10^7")
    parser.add_argument("--only", action="append", choices=MEASURES, help="measure this alone; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures and ratios to this file")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with what --json wrote in an earlier run")
    parser.add_argument("--bootstrap-servers", help="use this Kafka instead of one of its own")
    parser.add_argument("--dsn", help="use this PostgreSQL instead of one of its own; databases are made in it")


def rounds_of(args: argparse.Namespace) -> int:
    default = QUICK_ROUNDS if args.quick else ROUNDS
    return args.rounds or default


def scale_of(args: argparse.Namespace) -> float:
    return args.scale or (QUICK_SCALE if args.quick else 1.0)
