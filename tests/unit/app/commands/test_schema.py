"""`orders schema` prints the published schemas."""

from pathlib import Path

import pytest

from service.main import main

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], "order.schema.json"),
        (["--format", "json"], "order.schema.json"),
        (["--format", "avro"], "order.avsc"),
        (["--format", "protobuf"], "order.proto"),
    ],
)
def test_a_schema_is_printed_as_it_is_published(
    arguments: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", *arguments]) == 0
    assert capsys.readouterr().out == (DOCS / file).read_text()
