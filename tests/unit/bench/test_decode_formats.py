"""Every format is measured with the same orders."""

from bench.decode_formats import measure, messages_by_format
from generator.formats import FORMATS, MIXED, REGISTRY_FORMATS

NAMES = {*FORMATS, *REGISTRY_FORMATS} - {MIXED}


def test_each_format_has_the_same_orders() -> None:
    messages = messages_by_format(20)
    assert {*messages} == NAMES
    assert {tuple(record.key for record in records) for records in messages.values()} == {
        tuple(record.key for record in messages["json"])
    }


def test_each_format_takes_time() -> None:
    seconds = measure(40)
    assert {*seconds} == NAMES
    assert min(seconds.values()) > 0
