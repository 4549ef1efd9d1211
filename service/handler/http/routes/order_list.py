"""`/orders`: summaries of orders, newest first."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta, Struct

from service.entities.order import MAX_ITEMS, MAX_UID_LENGTH, UID_CHARACTER, Amount, Timestamp
from service.handler.http.openapi.document import IF_NONE_MATCH, Responses, not_modified, ok, request_headers
from service.handler.http.openapi.examples import ORDER
from service.handler.http.openapi.router import Router
from service.handler.http.requests.parameters import FilterText, TimeParameter
from service.handler.http.responses.if_none_match import conditional_response
from service.pkg.etag import split_etag, with_etag
from service.usecases.ports.reads import OrderReader, Page, PageCursor, PageQuery

MAX_ORDERS_PER_PAGE: Final = 200
_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})\.(.+)")

OrdersLimit = Annotated[int, Query(ge=1, le=MAX_ORDERS_PER_PAGE, description="Maximum number of orders in the page.")]
OrdersCursor = Annotated[
    str | None,
    Query(
        pattern=rf"^-?[0-9]{{1,18}}\.{UID_CHARACTER}{{1,{MAX_UID_LENGTH}}}$",
        description="`next_cursor` of the previous page (opaque).",
    ),
]
CustomerId = Annotated[
    FilterText, Query(description="Only orders of this customer. The pages have no `Link`: use `next_cursor`.")
]
_FORMAT: Final = "RFC 3339 with a time zone, in which `+` is sent as `%2B`"
CreatedFrom = Annotated[
    TimeParameter, Query(description=f"Only orders whose `date_created` is at or after this time ({_FORMAT}).")
]
CreatedTo = Annotated[
    TimeParameter, Query(description=f"Only orders whose `date_created` is before this time ({_FORMAT}).")
]


class OrderSummary(Struct, frozen=True, kw_only=True):
    """An order in a list, without personal data."""

    order_uid: str
    track_number: str
    date_created: Timestamp
    stored_at: Annotated[Timestamp, Meta(description="When this version of the order was stored.")]
    delivery_service: str
    amount: Amount
    currency: str
    items: Annotated[int, Meta(ge=1, le=MAX_ITEMS, description="Number of items.")]


class OrderList(Struct, frozen=True, kw_only=True):
    """A page of orders, newest first."""

    orders: list[OrderSummary]
    next_cursor: Annotated[str | None, Meta(description="Null on the last page.")]


_LIST_EXAMPLE: Final = OrderList(
    orders=[
        OrderSummary(
            order_uid=ORDER.order_uid,
            track_number=ORDER.track_number,
            date_created=ORDER.date_created,
            stored_at=datetime(2021, 11, 26, 6, 22, 20, tzinfo=UTC),
            delivery_service=ORDER.delivery_service,
            amount=ORDER.payment.amount,
            currency=ORDER.payment.currency,
            items=len(ORDER.items),
        )
    ],
    next_cursor=f"1637907739000000.{ORDER.order_uid}",
)
RESPONSES: Final[Responses] = {
    **ok("A page of order summaries, without personal data.", _LIST_EXAMPLE, "ETag", "Link"),
    **not_modified("ETag", "Link"),
}


def router(reader: OrderReader) -> Router:
    routes = Router("orders")

    @routes.get(
        "/orders",
        responses=RESPONSES,
        summary="List orders, newest first",
        openapi_extra=request_headers(IF_NONE_MATCH),
    )
    async def list_orders(
        request: Request,
        limit: OrdersLimit = 20,
        cursor: OrdersCursor = None,
        customer_id: CustomerId = None,
        track_number: FilterText = None,
        created_from: CreatedFrom = None,
        created_to: CreatedTo = None,
    ) -> Response:
        query = PageQuery(limit, _parse_cursor(cursor), customer_id, track_number, created_from, created_to)
        return _page_response(await reader.page(query), request)

    return routes


def _page_response(page: Page, request: Request) -> Response:
    """Return the page with a Link to the next one, or 304."""
    next_cursor = f"{page.next.created_us}.{page.next.order_uid}" if page.next else None
    body = b'{"orders":[%s],"next_cursor":%s}' % (b",".join(page.summaries), msgspec.json.encode(next_cursor))
    tag, _ = split_etag(with_etag(body))
    return conditional_response(
        body, tag.decode(), request.headers.getlist("if-none-match"), _link(request.query_params, next_cursor)
    )


def _link(query: Mapping[str, str], next_cursor: str | None) -> dict[str, str]:
    """Return a Link with a reference relative to the request's address, unless it would repeat personal data."""
    if next_cursor is None or "customer_id" in query:
        return {}
    return {"link": f'<?{urlencode({**query, "cursor": next_cursor})}>; rel="next"'}


def _parse_cursor(cursor: str | None) -> PageCursor | None:
    match = _CURSOR.fullmatch(cursor) if cursor else None
    return PageCursor(int(match[1]), match[2]) if match else None
