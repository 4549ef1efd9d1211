"""`orders schema`: prints the schema of the order document, for producers."""

import argparse
from typing import Final

from service.entities.order import json_schema
from service.entities.order_schemas import as_json, avro_schema, protobuf_schema
from service.pkg.exit_codes import ExitCode
from service.pkg.output import echo

_SCHEMAS: Final = {
    "json": lambda: as_json(json_schema()),
    "avro": lambda: as_json(avro_schema()),
    "protobuf": protobuf_schema,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=[*_SCHEMAS], default="json", help="language of the schema (default: json)")


def run(args: argparse.Namespace, _settings: object, _stop: object) -> int:
    """Print the schema; return the exit code."""
    echo(_SCHEMAS[args.format]().rstrip("\n"))
    return ExitCode.DONE
