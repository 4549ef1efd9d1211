"""The types of problem details. Clients may rely on them; `docs/problems.md` is generated from this list."""

from enum import Enum
from http import HTTPStatus
from typing import Final

URN_PREFIX: Final = "urn:orders:problem:"


class ProblemType(Enum):
    """Each has a status, a title, and what a client can do about it."""

    def __init__(self, status: HTTPStatus, title: str, remedy: str) -> None:
        self.status = status
        self.title = title
        self.remedy = remedy
        self.urn = URN_PREFIX + self.name.lower().replace("_", "-")

    MALFORMED_REQUEST = (HTTPStatus.BAD_REQUEST, "Not a valid HTTP/1.1 request", "Correct the client or the proxy.")
    MALFORMED_BODY = (
        HTTPStatus.BAD_REQUEST,
        "Request body incomplete or not JSON",
        "Send the whole body, as JSON in UTF-8.",
    )
    MISSING_API_KEY = (
        HTTPStatus.UNAUTHORIZED,
        "Missing API key",
        "Send a key as `Authorization: Bearer` or `X-API-Key`.",
    )
    UNKNOWN_API_KEY = (HTTPStatus.UNAUTHORIZED, "Unknown API key", "Ask the operator for a key; it may be revoked.")
    MISSING_SCOPE = (
        HTTPStatus.FORBIDDEN,
        "The API key lacks a scope",
        "Ask the operator for a key with the scope that `detail` names.",
    )
    NOT_FOUND = (HTTPStatus.NOT_FOUND, "No such path", "Correct the path; `/openapi.json` lists all.")
    ORDER_NOT_FOUND = (
        HTTPStatus.NOT_FOUND,
        "No such order",
        "Correct the `order_uid`. A new order may not be stored yet. If it was erased, its history says so.",
    )
    ORDER_ERASED = (
        HTTPStatus.NOT_FOUND,
        "The order was erased",
        "Only the history of an order has this type. Its data is deleted, and later messages are skipped.",
    )
    DEAD_LETTER_NOT_FOUND = (
        HTTPStatus.NOT_FOUND,
        "No such dead letter",
        "Correct partition and offset; the topic's retention may have removed it.",
    )
    DEAD_LETTERS_DISABLED = (
        HTTPStatus.NOT_FOUND,
        "Dead letters are disabled",
        "Ask the operator to configure API keys: dead letters hold personal data.",
    )
    METHOD_NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", "Use a method of the `Allow` header.")
    BODY_TIMEOUT = (HTTPStatus.REQUEST_TIMEOUT, "Request body too slow", "Send the body faster.")
    IDEMPOTENCY_KEY_IN_USE = (
        HTTPStatus.CONFLICT,
        "A request with this Idempotency-Key is running",
        "Repeat the request later to get its response.",
    )
    BODY_NOT_ACCEPTED = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request body not accepted", "Send no body.")
    BODY_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request body too large", "Send a smaller body.")
    UNSUPPORTED_MEDIA_TYPE = (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Request body not declared as JSON, or compressed",
        "Send `Content-Type: application/json`, and no `Content-Encoding`.",
    )
    HOST_NOT_ALLOWED = (
        HTTPStatus.MISDIRECTED_REQUEST,
        "Host not allowed",
        "Use a host name of the API, or ask the operator to add yours to `ORDERS_HTTP__ALLOWED_HOSTS`.",
    )
    INVALID_REQUEST = (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid request",
        "Correct the values that `errors` lists, with the rules that they violate.",
    )
    IDEMPOTENCY_KEY_REUSED = (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The Idempotency-Key belongs to another request",
        "Use a new key for each request.",
    )
    TOO_MANY_DEAD_LETTERS = (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The order has too many dead letters",
        "Choose them by partition and offset.",
    )
    ORDERS_TOO_LARGE = (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The orders do not fit into one response",
        "Send fewer `order_uids` in one request.",
    )
    TOO_MANY_PIPELINED_REQUESTS = (
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many pipelined requests",
        "Wait for responses before sending more requests on the connection.",
    )
    HEADERS_TOO_LARGE = (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Request line and headers too large",
        "Send fewer or shorter headers.",
    )
    INTERNAL_ERROR = (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "Report the `request_id` to the operator: the log has the details.",
    )
    STORAGE_UNAVAILABLE = (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "PostgreSQL unavailable",
        "Retry after `Retry-After` seconds; cached orders are still served.",
    )
    KAFKA_UNAVAILABLE = (HTTPStatus.SERVICE_UNAVAILABLE, "Kafka unavailable", "Retry after `Retry-After` seconds.")
    OVERLOADED = (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many requests or connections",
        "Retry after `Retry-After` seconds.",
    )
    TOO_MANY_EVENT_STREAMS = (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many event streams",
        "Close streams, or retry after `Retry-After` seconds.",
    )
    SHUTTING_DOWN = (HTTPStatus.SERVICE_UNAVAILABLE, "The API is shutting down", "Retry after `Retry-After` seconds.")
    NOT_READY = (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Failed checks",
        "Probes only: `detail` names the failed checks; see the log of the pod.",
    )
