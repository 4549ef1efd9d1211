"""docs/openapi.json, docs/asyncapi.json, and the schemas of the order: docs/order.schema.json, .avsc and .proto."""

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from reference import asyncapi
from service.config import KafkaSettings
from service.entities.order import json_schema
from service.entities.order_schemas import as_json, avro_schema
from tests.kit.in_memory_api import InMemoryApi

if TYPE_CHECKING:
    from fastapi import FastAPI


def render_openapi() -> str:
    api = InMemoryApi(version=version("orders"))
    return json.dumps(cast("FastAPI", api.client.app).openapi(), indent=1) + "\n"


def render_asyncapi() -> str:
    defaults = KafkaSettings()
    document = asyncapi.document(version("orders"), defaults.topic, defaults.dead_letter_topic)
    return json.dumps(document, indent=2) + "\n"


def render_order_schema() -> str:
    return as_json(json_schema())


def render_avro_schema() -> str:
    return as_json(avro_schema())
