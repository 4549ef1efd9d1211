import pytest
from confluent_kafka import KafkaError

from service.handler.kafka.client.member_errors import explanation, is_fatal, underlying_error

CAUSES = [
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError.UNSUPPORTED_ASSIGNOR,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.GROUP_MAX_SIZE_REACHED,
]


def as_message(cause: int) -> KafkaError:
    """Return the error that the client returns instead of a message after this fatal error."""
    return KafkaError(KafkaError._FATAL, f"Fatal error: consumer error: {KafkaError(cause).str()}")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", fatal=True), True),
        (as_message(KafkaError.FENCED_INSTANCE_ID), True),
        (KafkaError(KafkaError.FENCED_INSTANCE_ID), False),
        (KafkaError(KafkaError._TRANSPORT), False),
    ],
)
def test_an_error_is_fatal_by_its_flag_or_its_code(error: KafkaError, *, expected: bool) -> None:
    assert is_fatal(error) is expected


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_of_a_fatal_error_is_found_in_its_text(cause: int) -> None:
    assert underlying_error(as_message(cause)).code() == cause


def test_an_error_with_an_unknown_cause_is_its_own_cause() -> None:
    error = KafkaError(KafkaError._FATAL, "something else")
    assert underlying_error(error) is error
    assert explanation(error) is None


def test_each_cause_has_an_explanation_of_its_own() -> None:
    explanations = {explanation(KafkaError(cause)) for cause in CAUSES}
    assert len(explanations - {None}) == len(CAUSES)


def test_members_with_one_instance_id_are_named_as_the_cause() -> None:
    assert explanation(KafkaError(KafkaError.FENCED_INSTANCE_ID)) == (
        "another member has joined with the same group.instance.id in ORDERS_KAFKA__PROPERTIES: "
        "give each member its own"
    )
