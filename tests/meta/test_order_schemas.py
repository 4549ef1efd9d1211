"""The published schemas of the order: later ones read messages of the last release."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.utils import generate_one

from generator.encodings import order_descriptor
from service.entities.order_schemas import avro_schema, protobuf_schema

ROOT = Path(__file__).parents[2]


def test_the_source_of_the_protobuf_schema_has_the_fields_of_the_descriptor() -> None:
    described = {
        message.name: {field.name: field.number for field in message.field}
        for message in order_descriptor().message_type
    }
    assert numbers(protobuf_schema()) == described
    assert [*numbers(protobuf_schema())] == [message.name for message in order_descriptor().message_type]


def test_the_avro_schema_reads_messages_of_the_released_one() -> None:
    require_readable(json.loads(released("docs/order.avsc")), avro_schema())


def test_the_protobuf_schema_keeps_the_fields_of_the_released_one() -> None:
    require_kept(released("docs/order.proto"), protobuf_schema())


def test_a_new_required_avro_field_is_not_compatible() -> None:
    changed = avro_schema()
    changed["fields"].append({"name": "channel", "type": "string"})
    with pytest.raises(Exception, match="channel"):
        require_readable(avro_schema(), changed)


def test_a_new_optional_avro_field_is_compatible() -> None:
    changed = avro_schema()
    changed["fields"].append({"name": "channel", "type": ["null", "string"], "default": None})
    require_readable(avro_schema(), changed)


@pytest.mark.parametrize(
    "change", [("string locale = 7", "string locale = 27"), ("int64 sm_id = 12", "string sm_id = 12")]
)
def test_a_protobuf_field_with_another_number_or_type_is_not_compatible(change: tuple[str, str]) -> None:
    with pytest.raises(AssertionError):
        require_kept(protobuf_schema(), protobuf_schema().replace(*change))


def require_readable(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Read a message of the old schema with the new one, as BACKWARD compatibility requires."""
    writer, reader, stream = parse_schema(old), parse_schema(new), BytesIO()
    schemaless_writer(stream, writer, generate_one(writer))
    stream.seek(0)
    schemaless_reader(stream, writer, reader)


def require_kept(old: str, new: str) -> None:
    """Require that no field of the old schema has another number or type in the new one."""
    kept = [*declarations(new)]
    assert [each for each in declarations(old) if each not in kept] == []


def numbers(source: str) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for message, _, name, number in declarations(source):
        found.setdefault(message, {})[name] = int(number)
    return found


def declarations(source: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield message, type, name and number of each field."""
    for message, body in re.findall(r"message (\w+) {\n(.*?)}", source, re.DOTALL):
        for kind, name, number in re.findall(r"  ([\w. ]+) (\w+) = (\d+);", body):
            yield message, kind, name, number


def released(path: str) -> str:
    """Return a file of the last release; the one of the working tree if no release has it."""
    for tag in git("tag", "--sort=-v:refname").split():
        if text := git("show", f"{tag}:{path}"):
            return text
    return (ROOT / path).read_text()


def git(*arguments: str) -> str:
    """Return the output; empty if the command fails."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - constants
