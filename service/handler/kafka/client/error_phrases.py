"""The client library's errors in its own standard words."""

from confluent_kafka import KafkaError


def phrase(error: KafkaError) -> str:
    """Return librdkafka's fixed text of an error code: what an error itself says may hold addresses and values."""
    text = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
    return f"{text[:1].lower()}{text[1:]} ({error.name()})"
