"""The producer of dead letters, when its password or token changes, and when it accepts no message."""

from logging import Logger
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException

from service.entities.dead_letter import DeadLetter, Reason
from service.errors import DeadLettersUnavailable, KafkaRequestFailed
from service.handler.kafka.client.consumer_group import ConsumerGroup
from service.handler.kafka.dead_letters import delivery
from service.handler.kafka.dead_letters.delivery import DeliveryFailure, Payload, ReplaceableProducer, enqueue
from service.handler.kafka.dead_letters.encoder import DeadLetterEncoder
from service.handler.kafka.dead_letters.producer import DeadLetterProducer
from service.handler.kafka.dead_letters.transaction_checks import TransactionChecks
from service.handler.kafka.dead_letters.transactional import TransactionalDeadLetters
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.batch import Batch
from tests.kit.factories import record
from tests.kit.fake_consumer import FakeAdmin, FakeConsumer

CHECKS = TransactionChecks(FakeAdmin(), FakeConsumer)  # type: ignore[arg-type]
FIRST, SECOND = ("shop", "first"), ("shop", "second")


class Producer:
    """Records its properties, its credentials, and whether its messages were dropped."""

    def __init__(self, properties: dict[str, Any], logger: Logger) -> None:
        self.properties = properties
        self.logger = logger
        self.credentials: list[tuple[str, str]] = []
        self.is_purged = False

    def set_sasl_credentials(self, username: str, password: str) -> None:
        self.credentials.append((username, password))

    def purge(self) -> None:
        self.is_purged = True

    def flush(self, seconds: float) -> int:
        assert seconds == 0
        return 0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Producer]:
    made: list[Producer] = []

    def make(properties: dict[str, Any], logger: Logger) -> Producer:
        made.append(Producer(properties, logger))
        return made[-1]

    monkeypatch.setattr(delivery, "Producer", make)
    return made


def test_the_current_producer_gets_new_credentials_and_the_next_one_new_properties(made: list[Producer]) -> None:
    passwords = iter(["first", "second"])
    producer = ReplaceableProducer(lambda: {"sasl.password": next(passwords)})
    producer.set_sasl_credentials(*FIRST)
    producer.get()
    producer.set_sasl_credentials(*SECOND)
    producer.close()
    producer.set_sasl_credentials(*SECOND)
    producer.get()
    assert [each.properties["sasl.password"] for each in made] == ["first", "second"]
    assert [each.credentials for each in made] == [[SECOND], []]


def test_a_closed_producer_drops_its_messages_without_waiting(made: list[Producer]) -> None:
    producer = ReplaceableProducer(dict)
    for _ in range(2):
        assert producer.get() is producer.get()
        producer.close()
        producer.close()
    assert [each.is_purged for each in made] == [True, True]


def test_the_client_logs_as_librdkafka(made: list[Producer]) -> None:
    ReplaceableProducer(dict).get()
    assert made[0].logger.name == "librdkafka"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BufferError(), KafkaError._QUEUE_FULL),
        (KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), KafkaError.MSG_SIZE_TOO_LARGE),
    ],
)
def test_a_message_that_the_client_does_not_accept_is_a_failure(error: Exception, code: int) -> None:
    class FailingProducer:
        def produce(self, *_: Any, **__: Any) -> NoReturn:
            raise error

    failures: list[DeliveryFailure[str]] = []
    enqueue(FailingProducer(), "orders", Payload("item", [], None, None), failures)  # type: ignore[arg-type]
    assert [(item, failure.code()) for item, failure in failures] == [("item", code)]


def at_least_once(properties: Any) -> DeadLetterProducer:
    return DeadLetterProducer(properties, "orders.dlq", DeadLetterEncoder("orders"), ShutdownEvent())


def exactly_once(properties: Any) -> TransactionalDeadLetters:
    group = ConsumerGroup(("orders",))
    return TransactionalDeadLetters(properties, "orders.dlq", DeadLetterEncoder("orders"), group, CHECKS)


@pytest.mark.parametrize("kind", [at_least_once, exactly_once])
def test_new_credentials_are_passed_on_to_the_producer(kind: Any, made: list[Producer]) -> None:
    dead_letters = kind(dict)
    dead_letters._producer.get()
    dead_letters.set_sasl_credentials(*SECOND)
    assert made[0].credentials == [SECOND]


@pytest.mark.parametrize("kind", [at_least_once, exactly_once])
def test_without_a_password_or_token_dead_letters_are_kept(kind: Any) -> None:
    def fail() -> NoReturn:
        raise KafkaRequestFailed("no token")

    unsent = [DeadLetter(record(), Reason.INVALID, "sm_id: is missing")]
    with pytest.raises(DeadLettersUnavailable, match="no token") as raised:
        kind(fail).send_and_commit(Batch(), unsent)
    assert raised.value.unsent == unsent
