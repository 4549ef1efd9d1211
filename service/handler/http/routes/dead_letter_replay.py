"""`POST /dead-letters/replay`: sends selected dead letters, one of them possibly edited, to the order topic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Final, Literal

import msgspec
from fastapi import Header, Request, Response
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from prometheus_client import Counter
from structlog.typing import FilteringBoundLogger

from service.entities.dead_letter import Violation
from service.entities.dead_letter_record import DeadLetterId
from service.entities.order import Order
from service.entities.version import MAX_OFFSET, MAX_PARTITION
from service.errors import DocumentRejected, KafkaRequestFailed, TooManyDeadLetters
from service.handler.http.openapi.document import Responses, errors, ok, request_body, schema_ref
from service.handler.http.openapi.router import Router
from service.handler.http.requests.body import decode_json, read_json_body
from service.handler.http.requests.idempotency import IdempotentResponses
from service.handler.http.responses.json_response import NO_STORE, json_response
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import Problem, invalid_body, request_id_of
from service.handler.http.security.auth import key_holder_of
from service.usecases.ports.replay import (
    DEFAULT_MAX_REPLAYS,
    DeadLetterReplayer,
    EditedValue,
    OfOrder,
    ReplayRequest,
    ReplayResult,
    Selected,
)
from service.usecases.selected_replay import MAX_SELECTED, MIN_RATE

PATH: Final = "/dead-letters/replay"
MAX_BODY_OVERHEAD_BYTES: Final = 64 * 2**10
"""Size of a body without its value: coordinates of MAX_SELECTED dead letters, or an order."""
_REPLAYED: Final = {**NO_STORE, "idempotency-replayed": "true"}

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]+$",
        max_length=128,
        description="A request that is repeated with the same key within an hour gets the first response, from the "
        "same pod, and sends nothing.",
    ),
]

_EDITED_VALUE: Final = {
    "description": "An order that is sent instead of the content of the only dead letter in `dead_letters`.",
    **schema_ref(Order),
}


class DeadLetterReference(Struct, frozen=True, forbid_unknown_fields=True):
    partition: Annotated[int, Meta(ge=0, le=MAX_PARTITION)]
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)]


class ReplayDeadLetters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exactly one of `dead_letters` and `order_uid` is required."""

    dead_letters: Annotated[list[DeadLetterReference], Meta(min_length=1, max_length=MAX_SELECTED)] | None = None
    order_uid: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1_024)] | None,
        Meta(description=f"All dead letters of this order, by key and content; at most {MAX_SELECTED}."),
    ] = None
    dry_run: bool = False
    max_replays: Annotated[
        int, Meta(ge=0, le=1_000, description="Dead letters that were replayed this often are refused.")
    ] = DEFAULT_MAX_REPLAYS
    rate: Annotated[
        Annotated[float, Meta(ge=MIN_RATE, le=1_000_000)] | None,
        Meta(
            description="Dead letters per second. One replay runs at a time, so the limit also holds across requests."
        ),
    ] = None
    value: Annotated[Raw, Meta(extra_json_schema=_EDITED_VALUE)] | UnsetType = UNSET


class ReplayedDeadLetter(Struct, frozen=True, kw_only=True):
    partition: int
    offset: int
    outcome: Literal["sent", "would-be-sent", "refused"]
    refusal: str | None
    detail: Annotated[str | None, Meta(description="The refusal as a sentence.")]


class ReplayedDeadLetters(Struct, frozen=True, kw_only=True):
    """`sent` and `refused` are numbers of dead letters; in a dry run, `sent` of those that would be sent."""

    dry_run: bool
    sent: int
    refused: int
    dead_letters: list[ReplayedDeadLetter]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayBackend:
    """`decode` raises DocumentRejected for an edited value that is not a valid order of `max_value_bytes` at most."""

    replayer: DeadLetterReplayer
    responses: IdempotentResponses
    decode: Callable[[bytes], Order]
    max_value_bytes: int
    outcomes: Counter
    """By outcome; dry runs are not counted."""


_REFERENCE: Final = DeadLetterReference(partition=0, offset=0)
_REFUSED: Final = ReplayedDeadLetter(
    partition=0, offset=0, outcome="refused", refusal="missing", detail="partition 0, offset 0 has no dead letter"
)
_EXAMPLE: Final = ReplayedDeadLetters(dry_run=True, sent=0, refused=1, dead_letters=[_REFUSED])
REQUEST_BODY: Final = request_body(ReplayDeadLetters(dead_letters=[_REFERENCE], dry_run=True))
RESPONSES: Final[Responses] = {
    **ok("The outcome of each dead letter.", _EXAMPLE, "Idempotency-Replayed"),
    **errors(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ),
}


def router(backend: ReplayBackend, log: FilteringBoundLogger) -> Router:
    routes = Router("dead letters")

    @routes.post(PATH, responses=RESPONSES, summary="Replay dead letters", openapi_extra=REQUEST_BODY)
    async def replay_dead_letters(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        body = await read_json_body(request, backend.max_value_bytes + MAX_BODY_OVERHEAD_BYTES)
        name = key_holder_of(request).name
        replay = partial(_replay, _parse(body, backend, name), backend, log.bind(request_id=request_id_of(request)))
        if idempotency_key is None:
            return json_response(await replay())
        response = await backend.responses.respond((name, idempotency_key), sha256(body).digest(), replay)
        return json_response(response.body, _REPLAYED if response.is_replayed else NO_STORE)

    return routes


async def _replay(request: ReplayRequest, backend: ReplayBackend, log: FilteringBoundLogger) -> bytes:
    try:
        results = await backend.replayer.replay(request)
    except TooManyDeadLetters as error:
        raise Problem(ProblemType.TOO_MANY_DEAD_LETTERS, str(error)) from None
    except KafkaRequestFailed as error:
        log.warning("replaying dead letters failed", replayed_by=request.replayed_by, problem=str(error))
        raise
    if not request.is_dry_run:
        _report(request, results, backend, log)
    return msgspec.json.encode(_response_body(request, results))


def _report(
    request: ReplayRequest, results: Sequence[ReplayResult], backend: ReplayBackend, log: FilteringBoundLogger
) -> None:
    """Count and log the outcomes."""
    sent = [str(each.dead_letter) for each in results if each.refusal is None]
    refused = [f"{each.dead_letter}: {each.refusal.code}" for each in results if each.refusal]
    backend.outcomes.labels("sent").inc(len(sent))
    backend.outcomes.labels("refused").inc(len(refused))
    is_edited = request.edited is not None
    log.info("dead letters replayed", replayed_by=request.replayed_by, edited=is_edited, sent=sent, refused=refused)


def _response_body(request: ReplayRequest, results: Sequence[ReplayResult]) -> ReplayedDeadLetters:
    refused = sum(each.refusal is not None for each in results)
    return ReplayedDeadLetters(
        dry_run=request.is_dry_run,
        sent=len(results) - refused,
        refused=refused,
        dead_letters=[_view(each, is_dry_run=request.is_dry_run) for each in results],
    )


def _view(result: ReplayResult, *, is_dry_run: bool) -> ReplayedDeadLetter:
    (partition, offset), refusal = result
    sent: Literal["sent", "would-be-sent"] = "would-be-sent" if is_dry_run else "sent"
    return ReplayedDeadLetter(
        partition=partition,
        offset=offset,
        outcome="refused" if refusal else sent,
        refusal=refusal and refusal.code,
        detail=refusal and f"{result.dead_letter} {refusal.text}",
    )


def _parse(body: bytes, backend: ReplayBackend, replayed_by: str) -> ReplayRequest:
    """Raise Problem if the body is invalid, or the edited value is not a valid order."""
    parsed = decode_json(body, ReplayDeadLetters)
    which = _which(parsed)
    return ReplayRequest(
        which=which,
        replayed_by=replayed_by,
        max_replays=parsed.max_replays,
        edited=None if parsed.value is UNSET else _edited(bytes(parsed.value), which, backend),
        is_dry_run=parsed.dry_run,
        rate=parsed.rate or 0,
    )


def _which(parsed: ReplayDeadLetters) -> Selected | OfOrder:
    match parsed.dead_letters, parsed.order_uid:
        case None, str(order_uid):
            return OfOrder(order_uid)
        case list(references), None:
            return Selected([DeadLetterId(each.partition, each.offset) for each in references])
    raise invalid_body([Violation("", "exactly one of dead_letters and order_uid is required")])


def _edited(value: bytes, which: Selected | OfOrder, backend: ReplayBackend) -> EditedValue:
    if isinstance(which, OfOrder) or len(which.dead_letters) != 1:
        raise invalid_body([Violation("value", "requires exactly one dead letter")])
    try:
        return EditedValue(value, backend.decode(value).order_uid)
    except DocumentRejected as error:
        violations = [each._replace(path=f"value.{each.path}".rstrip(".")) for each in error.violations]
        raise invalid_body(violations) from None
