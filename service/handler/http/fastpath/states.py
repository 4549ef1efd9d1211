"""The states of a connection: of the whole, of the request that it receives, and of the responses that it sends."""

from enum import Enum, auto


class ConnectionState(Enum):
    """What a connection does with further data. Only OPEN changes to another state."""

    OPEN = auto()
    OVER_LIMIT = auto()
    """Answers the first data with 503, and closes."""
    LAST_REQUEST = auto()
    """Answers the requests so far, ignores further data, and closes."""
    ERROR_PENDING = auto()
    """Answers the requests so far, sends an error response, and closes."""


class ReceiveState(Enum):
    """What the next byte belongs to. NEW and HEAD have a timeout."""

    NEW = auto()
    """The first request of the connection."""
    HEAD = auto()
    """The request line or the headers of the current request."""
    BODY = auto()
    """The body of the current request."""
    BETWEEN = auto()
    """The next request."""


class SendState(Enum):
    """Whether the next response may be written. All but READY have a timeout."""

    READY = auto()
    PAUSED = auto()
    """The socket's buffers are full: the client does not read."""
    REQUEST_DEFERRED = auto()
    """The buffers are full, and the next request starts when the client has read."""
