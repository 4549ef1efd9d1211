"""librdkafka's standard text for each error code."""

from confluent_kafka import KafkaError


def phrase(error: KafkaError) -> str:
    """Return the fixed text of the error's code: the error's own message may contain addresses and values."""
    text = KafkaError(error.code()).str().removeprefix("Broker: ").removeprefix("Local: ")
    return f"{text[:1].lower()}{text[1:]} ({error.name()})"
