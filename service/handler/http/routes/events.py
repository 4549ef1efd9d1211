"""`/events`: stored orders, as Server-Sent Events."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import Query, Request
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from service.entities.order import Timestamp
from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.events.event_stream import EventStream
from service.handler.http.openapi.document import LAST_EVENT_ID, ok, request_headers, schema_ref
from service.handler.http.openapi.examples import ORDER
from service.handler.http.openapi.router import Router
from service.handler.http.routes.order_list import OrderSummary

Include = Annotated[
    Literal["summary"] | None,
    Query(description="`summary` adds the summary of the order, as in lists, to `stored` and `replaced` events."),
]


class EventVersion(Struct, frozen=True, kw_only=True):
    """What decides which of two documents of an order is newer: timestamp, topic, partition, offset of its record."""

    topic: Annotated[str | None, Meta(description="Null if an earlier release stored the order.")]
    partition: int
    offset: int
    timestamp: Timestamp


class EventData(Struct, frozen=True, kw_only=True):
    """The data of `stored` and `replaced` events."""

    order_uid: str
    at: Annotated[Timestamp, Meta(description="When the API was notified.")]
    stored_at: Annotated[
        Timestamp | None, Meta(description="When this version was stored. Null if the order was deleted.")
    ]
    version: Annotated[EventVersion | None, Meta(description="Null if the order was deleted.")]
    summary: Annotated[
        OrderSummary | UnsetType | None,
        Meta(
            description="With `include=summary` only. It is read after the event, so it may belong to a newer version, "
            "which has an event of its own. Null if the order is no longer stored."
        ),
    ] = UNSET


class ResetData(Struct, frozen=True, kw_only=True):
    """The data of `reset` events: events between the two times may be missing."""

    at: Timestamp
    since: Annotated[Timestamp | UnsetType, Meta(description="Left out if it is not known.")] = UNSET


_DATA: Final = {
    "contentMediaType": "application/json",
    "contentSchema": {"anyOf": [schema_ref(EventData), schema_ref(ResetData)]},
}


class Event(Struct, frozen=True, kw_only=True):
    """A Server-Sent Event."""

    id: Annotated[str, Meta(description="Send it as `Last-Event-ID` to continue after this event.")]
    event: Literal["stored", "replaced", "reset"]
    data: Annotated[
        str,
        Meta(
            description="JSON: EventData of `stored` and `replaced`, ResetData of `reset`.",
            extra_json_schema=_DATA,
        ),
    ]


_STORED_AT: Final = datetime(2021, 11, 26, 6, 22, 20, tzinfo=UTC)
_EXAMPLE_DATA: Final = EventData(
    order_uid=ORDER.order_uid,
    at=_STORED_AT,
    stored_at=_STORED_AT,
    version=EventVersion(
        topic="orders", partition=2, offset=1_041, timestamp=datetime(2021, 11, 26, 6, 22, 19, tzinfo=UTC)
    ),
)
_EXAMPLE: Final = Event(id="5f0c2d1a-1", event="stored", data=msgspec.json.encode(_EXAMPLE_DATA).decode())
DESCRIPTION: Final = (
    "The stream has no end; close the connection to stop it. `Last-Event-ID`, which browsers send on reconnect, "
    "continues after that event. If the event is no longer buffered, the stream begins with a `reset`."
)
RESPONSES: Final = ok(
    "`stored` and `replaced` events as orders are stored; `reset` where events may be missing.",
    _EXAMPLE,
    media_type=EventStream.media_type,
)


def router(broadcaster: EventBroadcaster) -> Router:
    routes = Router("orders")

    @routes.get(
        "/events",
        responses=RESPONSES,
        summary="Follow orders as they are stored",
        description=DESCRIPTION,
        openapi_extra=request_headers(LAST_EVENT_ID),
    )
    async def follow_events(request: Request, include: Include = None) -> Response:
        if request.method == "HEAD":
            return Response(headers=EventStream.HEADERS, media_type=EventStream.media_type)
        return broadcaster.open(request.headers.get("last-event-id"), with_summaries=include is not None)

    return routes
