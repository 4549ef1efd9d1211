"""`/orders/{order_uid}/history`: where the versions of an order came from, and what they changed. No personal data."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final

from fastapi import Response
from msgspec import Struct

from service.entities.version import RecordCoordinates
from service.handler.http.openapi.document import Responses, errors, ok
from service.handler.http.openapi.examples import ORDER
from service.handler.http.openapi.router import Router
from service.handler.http.responses.json_response import REVALIDATE, struct_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem
from service.handler.http.routes.orders import ORDER_PATH, OrderUidInPath
from service.pkg.timestamps import from_milliseconds, rfc3339
from service.usecases.ports.reads import OrderHistory, OrderReader, OrderVersion


class SourceView(Struct, frozen=True, kw_only=True):
    """The Kafka record of a version."""

    topic: str
    partition: int
    offset: int
    timestamp: str


class VersionView(Struct, frozen=True, kw_only=True):
    stored_at: str
    source: SourceView
    changed_fields: Sequence[str] | None
    """Paths of the fields that differ from the version before, such as `payment.amount`, without values. `items`: the
    number of items; `items[].price`: this field of at least one item. Null if the version before is not recorded."""


class HistoryView(Struct, frozen=True, kw_only=True):
    order_uid: str
    replacements: int
    """How often the order was replaced, as far as it is recorded."""
    versions: Sequence[VersionView]
    """Newest first; the first one is the stored one. The number of recorded versions is limited."""


_SOURCE: Final = SourceView(topic="orders", partition=2, offset=1_041, timestamp="2021-11-26T06:22:19Z")
_EXAMPLE: Final = HistoryView(
    order_uid=ORDER.order_uid,
    replacements=1,
    versions=[VersionView(stored_at="2021-11-26T06:22:20Z", source=_SOURCE, changed_fields=["payment.amount"])],
)
RESPONSES: Final[Responses] = {
    **ok("The versions of the order, without its data.", _EXAMPLE),
    **errors(HTTPStatus.NOT_FOUND),
}


def router(reader: OrderReader) -> Router:
    routes = Router("orders")

    @routes.get(f"{ORDER_PATH}/history", responses=RESPONSES, summary="Get the history of an order")
    async def get_order_history(order_uid: OrderUidInPath) -> Response:
        history = await reader.history(order_uid)
        if history is None:
            raise _not_stored(await reader.erased_at(order_uid))
        return struct_response(_view(order_uid, history), REVALIDATE)

    return routes


def _not_stored(erased_at: datetime | None) -> Problem:
    """`GET` of an order returns order-not-found for both: it avoids the second query."""
    if erased_at is None:
        return Problem(ProblemType.ORDER_NOT_FOUND, "no order with this order_uid")
    return Problem(ProblemType.ORDER_ERASED, f"the order was erased at {rfc3339(erased_at)}")


def _view(order_uid: str, history: OrderHistory) -> HistoryView:
    return HistoryView(
        order_uid=order_uid,
        replacements=history.replacements,
        versions=[_version(version) for version in history.versions],
    )


def _version(version: OrderVersion) -> VersionView:
    return VersionView(
        stored_at=rfc3339(version.stored_at), source=_source(version.source), changed_fields=version.changed_fields
    )


def _source(source: RecordCoordinates) -> SourceView:
    return SourceView(
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        timestamp=rfc3339(from_milliseconds(source.timestamp_ms)),
    )
