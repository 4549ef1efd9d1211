"""docs/openapi.json is up to date. The page's types are generated from it.

After a change of the API, run `make reference`.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, cast

from service.handler.http.keys import MIN_KEY_LENGTH, Keys
from tests.kit.in_memory_api import InMemoryApi

if TYPE_CHECKING:
    from fastapi import FastAPI

PUBLISHED = Path(__file__).parents[4] / "docs" / "openapi.json"


def published() -> str:
    with NamedTemporaryFile("w") as file:
        file.write(f"read {'x' * MIN_KEY_LENGTH}")
        file.flush()
        api = InMemoryApi(version=version("orders"), keys=Keys.load(Path(file.name)))
    return json.dumps(cast("FastAPI", api.client.app).openapi(), indent=1) + "\n"


def test_every_reference_exists_in_the_document() -> None:
    names = json.loads(PUBLISHED.read_text())["components"]["schemas"]
    references = re.findall(r'"\$ref": "([^"]+)"', PUBLISHED.read_text())
    assert references
    assert {*references} <= {f"#/components/schemas/{name}" for name in names}


def test_docs_openapi_json_is_up_to_date() -> None:
    assert PUBLISHED.read_text() == published()
