from concurrent.futures import Future
from threading import Event

import pytest
from confluent_kafka import KafkaException

from service.handler.kafka.client import error_codes
from service.handler.kafka.client.timeouts import call_within, result_within


def test_a_call_that_does_not_return_times_out() -> None:
    returned = Event()
    with pytest.raises(KafkaException) as raised:
        call_within(0.01, returned.wait)
    assert raised.value.args[0].code() == error_codes.TIMED_OUT
    returned.set()


def test_an_answer_that_does_not_arrive_times_out_with_the_error_of_the_client() -> None:
    with pytest.raises(KafkaException) as raised:
        result_within(0.01, Future[int]())
    assert raised.value.args[0].code() == error_codes.TIMED_OUT


def test_an_answer_is_returned() -> None:
    answer = Future[int]()
    answer.set_result(7)
    assert result_within(0, answer) == 7
