"""What both ways to the dead-letter topic do with librdkafka's producer."""

from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from service.entities.dead_letter import DeadLetter
from service.handler.kafka.dead_letters.encoder import Payload

DeliveryFailure = tuple[DeadLetter, KafkaError]


def enqueue(producer: Producer, topic: str, payload: Payload, failures: list[DeliveryFailure]) -> None:
    """Send without waiting: what is not taken is added to `failures`, at once or from a later poll or flush."""

    def acknowledge(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append((payload.dead_letter, error))

    try:
        producer.produce(topic, payload.value, payload.key, headers=[*payload.headers], on_delivery=acknowledge)
    except BufferError:
        failures.append((payload.dead_letter, KafkaError(KafkaError._QUEUE_FULL)))  # noqa: SLF001 - librdkafka's name
    except KafkaException as error:
        failures.append((payload.dead_letter, error.args[0]))


def abandon(producer: Producer) -> None:
    """Forget what was not acknowledged; waits for nothing."""
    with suppress(KafkaException):  # one that has failed for good says so once more
        producer.purge()
        producer.flush(0)
