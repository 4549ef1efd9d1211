"""What a command reports: lines for people, or with `--json` one JSON object for programs."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.pkg.output import echo


class Report:
    """Prints lines as they are reported. With `--json` it prints none, but an object at the end."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._fields: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """Print a line, unless the command prints JSON."""
        if not self._is_json:
            echo(text)

    def add(self, **fields: Any) -> None:
        """Set fields of the object."""
        self._fields |= fields

    def close(self) -> None:
        """Print the object, if there is one."""
        if self._is_json and self._fields:
            echo(json.dumps(self._fields, ensure_ascii=False))


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


@contextmanager
def reporting(args: argparse.Namespace) -> Iterator[Report]:
    """Yield the report of a command; close it at the end, even if the command fails halfway."""
    report = Report(is_json=args.json)
    try:
        yield report
    finally:
        report.close()
