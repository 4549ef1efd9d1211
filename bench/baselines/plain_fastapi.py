"""Baseline for cached GETs, the usual implementation: a FastAPI route that returns a dict, without ETag or metrics.

The annotated return type makes it twice as fast, because pydantic then encodes the dict.

`python -m bench.baselines.plain_fastapi DOCUMENTS PORT`
"""

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException

from bench.baselines.documents import documents
from local.ports import HOST


def application(orders: Mapping[str, dict[str, Any]]) -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{order_uid}")
    async def get_order(order_uid: str) -> dict[str, Any]:
        if order_uid not in orders:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return orders[order_uid]

    return app


def main() -> None:
    path, port = sys.argv[1:]
    orders = {uid: json.loads(document) for uid, document in documents(Path(path))}
    uvicorn.run(application(orders), host=HOST, port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
