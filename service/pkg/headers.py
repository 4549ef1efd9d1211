"""The headers of a Kafka message, also of one that the client library stumbles over."""

from confluent_kafka import Message


def headers_of(message: Message) -> list[tuple[str, bytes | None]] | None:
    """Return them in their order; None where a name is not UTF-8: the library can't tell any of them then.

    To be called once for a message: after such a failure the library returns a list with holes, which ends the process.
    """
    try:
        return [*(message.headers() or [])]
    except SystemError:
        return None
