"""A timeout for calls of the Kafka client that may never return: a broker can hang with the connection open."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from service.handler.kafka.client import error_codes
from service.pkg.run_with_timeout import run_with_timeout

_Result = TypeVar("_Result")


def call_within(seconds: float, call: Callable[[], object]) -> None:
    """Block until `call` has returned. Raises KafkaException; after a timeout the call may still succeed."""
    try:
        run_with_timeout(seconds, call)
    except TimeoutError:
        raise KafkaException(KafkaError(error_codes.TIMED_OUT)) from None


def result_within(seconds: float, answer: Future[_Result]) -> _Result:
    """Block until the client has answered. Raises KafkaException."""
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise KafkaException(KafkaError(error_codes.TIMED_OUT)) from None
